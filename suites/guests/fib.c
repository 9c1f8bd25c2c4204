/*
 * Fibonacci numbers by naive recursion: call, return and stack traffic. Scale: the index.
 * Check: the same number by fast doubling.
 */
#include "guest.h"

/* noipa: the compiler would otherwise unroll the recursion into itself and leave few calls. */
#ifdef __clang__
#define REAL_CALL __attribute__((noinline))
#else
#define REAL_CALL __attribute__((noipa))
#endif

REAL_CALL static uint64_t fib(uint64_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

/* F(2k) = F(k) (2 F(k+1) - F(k)), F(2k+1) = F(k)^2 + F(k+1)^2, from the top bit of n down. */
static uint64_t fib_by_doubling(uint64_t n) {
  uint64_t a = 0, b = 1;
  for (int bit = 63; bit >= 0; bit--) {
    uint64_t even = a * (2 * b - a), odd = a * a + b * b;
    a = even, b = odd;
    if (n >> bit & 1) a = odd, b = even + odd;
  }
  return a;
}

static int guest(uint64_t scale) {
  uint64_t value = fib(scale);
  out_count("index", scale);
  out_count("fib", value);
  return guest_check("doubling agrees", value == fib_by_doubling(scale));
}

GUEST_PROGRAM(23, 36)
