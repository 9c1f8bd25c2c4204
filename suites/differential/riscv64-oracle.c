/*
 * Runs blocks of guest code on a RISC-V processor, real or qemu-user's, and tells the state they end in.
 *
 * Standard input holds records (struct test), standard output gets one answer each (struct answer), until the input ends.
 * All registers are set and read through the context of a signal: a block stops at its EBREAK or wherever it faults, and
 * the handler, on a stack of its own, writes the answer, takes the next record and returns into it.
 *
 * Freestanding and without linker relaxation: the handler runs with whatever gp, tp and sp the block left.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define CODE 0x1000ul
#define WINDOW 0x2000ul
#define CODE_SIZE 1024
#define WINDOW_SIZE 512

struct test {
  uint64_t x[32]; /* x[0] is not used */
  uint64_t f[32];
  uint32_t fcsr;
  uint32_t reserved;
  uint8_t code[CODE_SIZE];
  uint8_t window[WINDOW_SIZE];
};

struct answer {
  uint64_t x[32]; /* x[0] is pc */
  uint64_t f[32];
  uint32_t fcsr;
  uint32_t signal;
  uint8_t window[WINDOW_SIZE];
};

static struct test test;
static struct answer answer;
static char handler_stack[65536] __attribute__((aligned(16)));
static uint64_t unreserved;

static long system_call(long number, long a, long b, long c, long d, long e, long f) {
  register long a7 __asm__("a7") = number;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  register long a3 __asm__("a3") = d;
  register long a4 __asm__("a4") = e;
  register long a5 __asm__("a5") = f;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
  return a0;
}

static void quit(int code) {
  for (;;) system_call(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

void *memcpy(void *to, const void *from, size_t size) {
  for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
  return to;
}

/* Exits at the end of the input, with 2 when it ends inside a record. */
static void read_test(void) {
  size_t have = 0;
  while (have < sizeof test) {
    long got = system_call(SYS_read, 0, (long)&test + (long)have, (long)(sizeof test - have), 0, 0, 0);
    if (got <= 0) quit(have == 0 && got == 0 ? 0 : 2);
    have += (size_t)got;
  }
}

static void write_answer(void) {
  size_t done = 0;
  while (done < sizeof answer) {
    long put = system_call(SYS_write, 1, (long)&answer + (long)done, (long)(sizeof answer - done), 0, 0, 0);
    if (put <= 0) quit(3);
    done += (size_t)put;
  }
}

static int started;

static void on_signal(int number, siginfo_t *information, void *context) {
  (void)information;
  mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
  __typeof__(machine->__fpregs.__d) *floats = &machine->__fpregs.__d;
  if (started) {
    for (int i = 0; i < 32; i++) answer.x[i] = machine->__gregs[i];
    for (int i = 0; i < 32; i++) answer.f[i] = floats->__f[i];
    answer.fcsr = floats->__fcsr;
    answer.signal = (uint32_t)number;
    memcpy(answer.window, (void *)WINDOW, WINDOW_SIZE);
    write_answer();
  }
  started = 1;
  read_test();
  memcpy((void *)CODE, test.code, CODE_SIZE);
  memcpy((void *)WINDOW, test.window, WINDOW_SIZE);
  machine->__gregs[0] = CODE;
  for (int i = 1; i < 32; i++) machine->__gregs[i] = test.x[i];
  for (int i = 0; i < 32; i++) floats->__f[i] = test.f[i];
  floats->__fcsr = test.fcsr;
  /* A store-conditional, failed or not, ends the reservation that the last block may have left. */
  uint64_t failed;
  __asm__ volatile("sc.d %0, zero, (%1)\n\tfence.i" : "=&r"(failed) : "r"(&unreserved) : "memory");
}

/* What the kernel takes, which is not libc's struct sigaction. */
struct kernel_action {
  void (*handler)(int, siginfo_t *, void *);
  unsigned long flags;
  uint64_t mask;
};

static void map(unsigned long address, unsigned long size, int protection) {
  long got = system_call(SYS_mmap, (long)address, (long)size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (got != (long)address) quit(4);
}

void _start(void) {
  map(CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(WINDOW, 0x2000, PROT_READ | PROT_WRITE);
  map(0x4000, 0x1000, PROT_READ);
  stack_t stack = {.ss_sp = handler_stack, .ss_flags = 0, .ss_size = sizeof handler_stack};
  if (system_call(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0) != 0) quit(5);
  struct kernel_action action = {on_signal, SA_SIGINFO | SA_ONSTACK, 0};
  static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGBUS};
  for (int i = 0; i < 4; i++)
    if (system_call(SYS_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0) != 0) quit(6);
  __asm__ volatile("ebreak");
  quit(7);
}
