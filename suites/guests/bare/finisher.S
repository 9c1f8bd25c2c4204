/* Ends through the test finisher at 0x100000: 0x3333 in the low half is failure, the exit code is in the high half. */
  .section .text.start, "ax"
  .globl _start
_start:
  li t0, 0x100000
  li t1, 5 << 16 | 0x3333
  sw t1, 0(t0)
  j .
