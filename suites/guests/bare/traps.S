/*
 * Synchronous exceptions: cause, address and resumption, from machine and from user mode (Privileged ISA, "Machine
 * Cause Register", "Machine Trap Value Register", "Privilege and Global Interrupt-Enable Stack in mstatus").
 * Ends with exit code 0, or with the number of the first check that fails.
 *
 * s0 number of the check; s1 bit set of the causes allowed; s2 the mepc expected; s3 where to go on; s4 traps taken;
 * s5 the address that mtval may hold (it may also be 0).
 */
#include "htif.h"

#define CAUSE(n) (1 << (n))
#define INSTRUCTION_ACCESS_FAULT 1
#define ILLEGAL_INSTRUCTION 2
#define BREAKPOINT 3
#define LOAD_MISALIGNED 4
#define LOAD_ACCESS_FAULT 5
#define STORE_MISALIGNED 6
#define STORE_ACCESS_FAULT 7
#define CALL_FROM_USER 8
#define CALL_FROM_MACHINE 11

/* Declares that the instruction at `label` traps for one of `causes` with `value` (a register) or 0 in mtval. */
.macro expect number, causes, label, value=zero
  li s0, \number
  li s1, \causes
  la s2, \label
  la s3, \label\()_end
  mv s5, \value
.endm

/* After the instruction: exactly one trap must have been taken. */
.macro taken
  li t0, 1
  bne s4, t0, failed
  li s4, 0
.endm

  .section .text.start, "ax"
  .globl _start
_start:
  la t0, handler
  csrw mtvec, t0
  li s4, 0

  expect 1, CAUSE(ILLEGAL_INSTRUCTION), illegal
  .balign 4
illegal:
  .word 0
illegal_end:
  taken

  expect 2, CAUSE(BREAKPOINT), break, s2
  .balign 4
  .option push
  .option norvc
break:
  ebreak
break_end:
  .option pop
  taken

  expect 3, CAUSE(CALL_FROM_MACHINE), call
call:
  ecall
call_end:
  taken

  /* No machine of ours has memory at 2^50. */
  li a1, 1 << 50
  expect 4, CAUSE(LOAD_ACCESS_FAULT), wild_load, a1
wild_load:
  ld a0, 0(a1)
wild_load_end:
  taken

  expect 5, CAUSE(STORE_ACCESS_FAULT), wild_store, a1
wild_store:
  sd a0, 0(a1)
wild_store_end:
  taken

  li s0, 6 /* a jump: mepc is the target, not the jump */
  li s1, CAUSE(INSTRUCTION_ACCESS_FAULT)
  mv s2, a1
  la s3, wild_jump_end
  mv s5, a1
  jr a1
wild_jump_end:
  taken

  /* A read-only register. */
  expect 7, CAUSE(ILLEGAL_INSTRUCTION), read_only, s5
  la t0, read_only
  lwu s5, 0(t0)
read_only:
  csrw mhartid, zero
read_only_end:
  taken

  /* An atomic operation must be aligned (Unprivileged ISA, "Atomic Memory Operations"). */
  la a1, cells
  addi a2, a1, 2
  expect 8, CAUSE(STORE_MISALIGNED) | CAUSE(STORE_ACCESS_FAULT), odd_amo, a2
odd_amo:
  amoadd.w a0, a1, (a2)
odd_amo_end:
  taken

  /* A plain misaligned load may trap or succeed, but not anything else. */
  expect 9, CAUSE(LOAD_MISALIGNED), odd_load, a2
  li a0, 0
odd_load:
  lw a0, 0(a2)
odd_load_end:
  bnez s4, odd_load_trapped
  li t0, 0x66554433
  bne a0, t0, failed
odd_load_trapped:
  li s4, 0

  /* User mode. One PMP entry opens all memory; a machine without PMP traps here, which check 10 allows. */
  expect 10, CAUSE(ILLEGAL_INSTRUCTION), open_memory, s5
open_memory:
  li t0, -1
  csrw pmpaddr0, t0
  li t0, 0x1f
  csrw pmpcfg0, t0
open_memory_end:
  li s4, 0

  li t0, 3 << 11 /* mstatus.MPP = user */
  csrc mstatus, t0
  la t0, in_user_mode
  csrw mepc, t0
  mret
in_user_mode:
  expect 11, CAUSE(CALL_FROM_USER), user_call
user_call:
  ecall
user_call_end:
  taken
  /* The handler came back with MPP as the trap left it, so this is user mode still: no machine register. */
  expect 12, CAUSE(ILLEGAL_INSTRUCTION), user_csr
  la t0, user_csr
  lwu s5, 0(t0)
user_csr:
  csrr a0, mscratch
user_csr_end:
  taken

  expect 13, CAUSE(ILLEGAL_INSTRUCTION), user_mret
  la t0, user_mret
  lwu s5, 0(t0)
user_mret:
  mret
user_mret_end:
  taken

  li a0, 0
  htif_exit a0
failed:
  htif_exit s0

  .balign 4
handler:
  csrr t0, mcause
  li t1, 64
  bgeu t0, t1, failed /* an interrupt, or no cause at all */
  srl t1, s1, t0
  andi t1, t1, 1
  beqz t1, failed
  csrr t0, mepc
  /* Check 10 covers several instructions. */
  li t1, 10
  beq s0, t1, value
  bne t0, s2, failed
value:
  csrr t0, mtval
  beqz t0, resume
  li t1, 10
  beq s0, t1, resume
  bne t0, s5, failed
resume:
  addi s4, s4, 1
  csrw mepc, s3
  mret

  .section .data
  .balign 8
cells:
  .dword 0x8877665544332211
