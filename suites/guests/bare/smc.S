/*
 * Self-modifying code: a function's instruction is replaced 100 times, each time followed by FENCE.I, and each new
 * form must be the one that runs (Unprivileged ISA, "Zifencei"). Ends with exit code 0, or 1 when an old form ran.
 */
#include "htif.h"
  .section .text.start, "ax"
  .globl _start
_start:
  la s0, function
  li s1, 0   /* the immediate of the present form */
  li s2, 100 /* the last one */
  lw s3, 0(s0)
again:
  slli t0, s1, 20
  add t0, t0, s3
  sw t0, 0(s0) /* li a0, s1 */
  fence.i
  jalr s0
  bne a0, s1, stale
  jalr s0 /* again: the second run may come from a translation */
  bne a0, s1, stale
  addi s1, s1, 1
  ble s1, s2, again
  htif_exit zero
stale:
  li a0, 1
  htif_exit a0

  .section .data
  .balign 4
  .option norvc
function:
  addi a0, zero, 0
  jalr zero, 0(ra)
