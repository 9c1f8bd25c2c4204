/*
 * Runs single A64 instructions. Input records, little-endian:
 *   u64 x[31], u64 sp, u64 nzcv, u8 window[256], u32 code, u32 unused
 * Output records: u64 x[31], u64 sp, u64 nzcv, u8 window[256].
 * The window lies at WINDOW. The instruction is copied to CODE, followed by a branch back; it must not branch itself, and not use x30, which
 * holds the way back.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define WINDOW 0x10800ul
#define CODE 0x20000ul

struct state {
  uint64_t x[31], sp, nzcv;
  uint8_t window[256];
};
struct input {
  struct state state;
  uint32_t code, unused;
};

/* state *in x0. The host's sp, the state and the return address are kept at the start of the page at 0x30000. */
void run(struct state *state);
__asm__(
    ".text\n.globl run\nrun:\n"
    "stp x19, x20, [sp, #-96]!\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n"
    "stp x25, x26, [sp, #48]\n stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n"
    "mov x30, #0x30000\n mov x1, sp\n stp x1, x0, [x30]\n"
    "ldr x1, [x0, #256]\n msr nzcv, x1\n ldr x1, [x0, #248]\n mov sp, x1\n"
    "ldp x2, x3, [x0, #16]\n ldp x4, x5, [x0, #32]\n ldp x6, x7, [x0, #48]\n ldp x8, x9, [x0, #64]\n"
    "ldp x10, x11, [x0, #80]\n ldp x12, x13, [x0, #96]\n ldp x14, x15, [x0, #112]\n ldp x16, x17, [x0, #128]\n"
    "ldp x18, x19, [x0, #144]\n ldp x20, x21, [x0, #160]\n ldp x22, x23, [x0, #176]\n ldp x24, x25, [x0, #192]\n"
    "ldp x26, x27, [x0, #208]\n ldp x28, x29, [x0, #224]\n ldp x0, x1, [x0]\n"
    "mov x30, #0x20000\n blr x30\n"
    "mov x30, #0x30000\n stp x0, x1, [x30, #16]\n ldp x1, x0, [x30]\n"
    "stp x2, x3, [x0, #16]\n stp x4, x5, [x0, #32]\n stp x6, x7, [x0, #48]\n stp x8, x9, [x0, #64]\n"
    "stp x10, x11, [x0, #80]\n stp x12, x13, [x0, #96]\n stp x14, x15, [x0, #112]\n stp x16, x17, [x0, #128]\n"
    "stp x18, x19, [x0, #144]\n stp x20, x21, [x0, #160]\n stp x22, x23, [x0, #176]\n stp x24, x25, [x0, #192]\n"
    "stp x26, x27, [x0, #208]\n stp x28, x29, [x0, #224]\n"
    "ldp x2, x3, [x30, #16]\n stp x2, x3, [x0]\n mrs x2, nzcv\n str x2, [x0, #256]\n"
    "mov x2, sp\n str x2, [x0, #248]\n mov sp, x1\n"
    "ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n ldp x25, x26, [sp, #48]\n ldp x27, x28, [sp, #64]\n"
    "ldp x29, x30, [sp, #80]\n ldp x19, x20, [sp], #96\n ret\n");

static void *page(uintptr_t at) {
  void *wanted = (void *)(at & ~(uintptr_t)0xfff);
  void *got = mmap(wanted, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return got == wanted ? (void *)at : NULL;
}

int main(void) {
  uint8_t *window = page(WINDOW);
  uint32_t *code = page(CODE);
  struct input in;
  if (!window || !code || !page(0x30000ul)) return fputs("the fixed pages cannot be mapped\n", stderr), 1;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    uint64_t link = in.state.x[30];
    memcpy(window, in.state.window, 256);
    code[0] = in.code;
    code[1] = 0xd65f03c0; /* ret */
    __builtin___clear_cache((char *)code, (char *)(code + 2));
    run(&in.state);
    in.state.x[30] = link;
    memcpy(in.state.window, window, 256);
    if (fwrite(&in.state, sizeof in.state, 1, stdout) != 1) return 1;
  }
  return 0;
}
