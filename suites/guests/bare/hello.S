/* Writes a line to the HTIF console and ends with exit code 0. */
#include "htif.h"
  .section .text.start, "ax"
  .globl _start
_start:
  la s0, message
next:
  lbu a0, 0(s0)
  beqz a0, done
  htif_put a0
  addi s0, s0, 1
  j next
done:
  htif_exit zero
message:
  .asciz "hello from a bare machine\n"
