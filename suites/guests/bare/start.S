/* Before a C program: stack, floating point on (mstatus.FS = initial), cleared static data; after it: its exit code. */
#include "htif.h"
  .section .text.start, "ax"
  .globl _start
_start:
  .option push
  .option norelax
  la gp, __global_pointer$
  .option pop
  li t0, 1 << 13
  csrs mstatus, t0
  la sp, __stack_top
  la t0, __bss_start
clear:
  bgeu t0, sp, cleared
  sd zero, 0(t0)
  addi t0, t0, 8
  j clear
cleared:
  call main
  htif_exit a0
