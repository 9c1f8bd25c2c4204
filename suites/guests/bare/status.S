/* Ends at once with exit code 42. */
#include "htif.h"
  .section .text.start, "ax"
  .globl _start
_start:
  li a0, 42
  htif_exit a0
