/** What sampling the interpreter has shown of a program's control flow. Addresses are guest addresses. */
export class Profile {
  readonly #jumpTargets = new Map<number, Map<number, number>>();

  /** The indirect jump at `pc` went to `target`. */
  noteJump(pc: number, target: number): void {
    let targets = this.#jumpTargets.get(pc);
    if (targets === undefined) this.#jumpTargets.set(pc, (targets = new Map()));
    targets.set(target, (targets.get(target) ?? 0) + 1);
  }

  /** Where the indirect jump at `pc` went, most frequent first. */
  jumpTargets(pc: number): number[] {
    const targets = this.#jumpTargets.get(pc);
    if (targets === undefined) return [];
    return [...targets].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([target]) => target);
  }

  clear(): void {
    this.#jumpTargets.clear();
  }
}
