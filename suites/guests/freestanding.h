/*
 * The little of a C library that the guest programs need on wasm32, where there is none: output through one import,
 * memory by growing, and the memory and string functions that the compiler may call by name.
 */
#ifndef FREESTANDING_H
#define FREESTANDING_H

#include <stddef.h>
#include <stdint.h>

/* `length` bytes at `text` are text for the standard output. */
__attribute__((import_module("guest"), import_name("write"))) void guest_write(const char *text, size_t length);

/* no_builtin: otherwise the compiler knows the loop below for a memcpy and calls the function from itself. */
#define FREESTANDING __attribute__((no_builtin))

FREESTANDING void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  uint8_t *t = to;
  const uint8_t *f = from;
  if ((((uintptr_t)t ^ (uintptr_t)f) & 7) == 0) {
    for (; n > 0 && ((uintptr_t)t & 7) != 0; n--) *t++ = *f++;
    for (; n >= 8; n -= 8, t += 8, f += 8) *(uint64_t *)t = *(const uint64_t *)f;
  }
  for (; n > 0; n--) *t++ = *f++;
  return to;
}

FREESTANDING void *memmove(void *to, const void *from, size_t n) {
  uint8_t *t = to;
  const uint8_t *f = from;
  if ((uintptr_t)t - (uintptr_t)f >= n) return memcpy(to, from, n);
  while (n > 0) {
    n--;
    t[n] = f[n];
  }
  return to;
}

FREESTANDING void *memset(void *to, int byte, size_t n) {
  uint8_t *t = to;
  uint64_t word = (uint8_t)byte * UINT64_C(0x0101010101010101);
  for (; n > 0 && ((uintptr_t)t & 7) != 0; n--) *t++ = (uint8_t)byte;
  for (; n >= 8; n -= 8, t += 8) *(uint64_t *)t = word;
  for (; n > 0; n--) *t++ = (uint8_t)byte;
  return to;
}

FREESTANDING int memcmp(const void *a, const void *b, size_t n) {
  const uint8_t *x = a;
  const uint8_t *y = b;
  for (; n > 0; n--, x++, y++) {
    if (*x != *y) return *x < *y ? -1 : 1;
  }
  return 0;
}

FREESTANDING size_t strlen(const char *text) {
  size_t n = 0;
  while (text[n] != 0) n++;
  return n;
}

FREESTANDING int strcmp(const char *a, const char *b) {
  while (*a != 0 && *a == *b) {
    a++;
    b++;
  }
  return (uint8_t)*a - (uint8_t)*b;
}

FREESTANDING char *strcpy(char *restrict to, const char *restrict from) {
  char *t = to;
  while ((*t++ = *from++) != 0) continue;
  return to;
}

static inline void out_text(const char *text) { guest_write(text, strlen(text)); }

static inline void out_u64(uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  guest_write(digits + at, sizeof digits - at);
}

static inline void out_u64_hex(uint64_t value) {
  char digits[16];
  for (int i = 15; i >= 0; i--, value >>= 4) digits[i] = "0123456789abcdef"[value & 15];
  guest_write(digits, sizeof digits);
}

extern uint8_t __heap_base; /* given by the linker: the first byte after static memory and stack */

/* 16-byte aligned, never freed. Out of memory traps. */
static inline void *guest_alloc(size_t bytes) {
  static uintptr_t next;
  uintptr_t start = (next == 0 ? (uintptr_t)&__heap_base : next) + 15 & ~(uintptr_t)15;
  uintptr_t end = start + bytes;
  uintptr_t have = __builtin_wasm_memory_size(0) << 16;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 0xffff) >> 16) == (size_t)-1) __builtin_trap();
  next = end;
  return (void *)start;
}

#endif
