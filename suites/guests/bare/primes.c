/*
 * C on the bare machine: stack, static data, multiplication and division, floating point. Prints the number of primes
 * below 1,000 and ends with exit code 0 when the two ways of counting agree.
 */
#include <stdint.h>

extern volatile uint64_t tohost, fromhost;

static void put(char c) {
  tohost = UINT64_C(0x0101) << 48 | (uint8_t)c;
  while (tohost != 0) continue;
  fromhost = 0;
}

static uint8_t composite[1000];

static int count_by_sieve(void) {
  int count = 0;
  for (int n = 2; n < 1000; n++) {
    if (composite[n]) continue;
    count++;
    for (int m = n * n; m < 1000; m += n) composite[m] = 1;
  }
  return count;
}

static int count_by_division(void) {
  int count = 0;
  for (int n = 2; n < 1000; n++) {
    int prime = 1;
    for (int d = 2; (double)d <= __builtin_sqrt((double)n); d++) prime &= n % d != 0;
    count += prime;
  }
  return count;
}

int main(void) {
  int count = count_by_sieve();
  put((char)('0' + count / 100));
  put((char)('0' + count / 10 % 10));
  put((char)('0' + count % 10));
  put('\n');
  return count == count_by_division() ? 0 : 1;
}
