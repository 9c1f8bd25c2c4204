/*
 * The host-target interface: the guest stores a word to `tohost`. Device 0 with bit 0 set ends the run with the exit
 * code word >> 1; device 1 command 1 (0x0101 in the top 16 bits) writes the low byte to the console, and the host
 * clears the word when it has taken it.
 */
#define HTIF_PUT 0x0101000000000000

/* Ends the run with the exit code in register `code`. */
.macro htif_exit code
  slli t0, \code, 1
  ori t0, t0, 1
  la t1, tohost
1:
  sd t0, 0(t1)
  j 1b
.endm

/* Writes the low byte of register `byte` to the console. */
.macro htif_put byte
  li t0, HTIF_PUT
  or t0, t0, \byte
  la t1, tohost
  sd t0, 0(t1)
2:
  ld t0, 0(t1)
  bnez t0, 2b
  sd zero, 64(t1) /* fromhost: no answer awaited */
.endm

  .section .tohost, "aw", @progbits
  .balign 64
  .globl tohost
  .type tohost, @object
  .size tohost, 8
tohost:
  .dword 0
  .balign 64
  .globl fromhost
  .type fromhost, @object
  .size fromhost, 8
fromhost:
  .dword 0
