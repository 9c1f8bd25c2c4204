/*
 * What every guest program is written against, so that one source builds for Linux (riscv64, aarch64, x86-64, real
 * glibc) and for wasm32 (freestanding.h, one import).
 *
 * A program defines `static int guest(uint64_t scale)`, which prints its results, checks them and returns whether they
 * hold, and ends with GUEST_PROGRAM(smoke, standard): the scales for tests (about 10^6 instructions) and for
 * measurements (about half a second under qemu-riscv64). argv[1] chooses: a number, or "smoke" or 0.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __wasm32__
#include "freestanding.h"
#else
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void out_text(const char *text) { printf("%s", text); }
static inline void out_u64(uint64_t value) { printf("%" PRIu64, value); }
static inline void out_u64_hex(uint64_t value) { printf("%016" PRIx64, value); }

static inline void *guest_alloc(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory == NULL) {
    fprintf(stderr, "guest: no memory for %zu bytes\n", bytes);
    exit(2);
  }
  return memory;
}
#endif

/* One result line: "label decimal". */
static inline void out_count(const char *label, uint64_t value) {
  out_text(label);
  out_text(" ");
  out_u64(value);
  out_text("\n");
}

/* One result line: "label 16 hexadecimal digits". */
static inline void out_word(const char *label, uint64_t value) {
  out_text(label);
  out_text(" ");
  out_u64_hex(value);
  out_text("\n");
}

/* A double by its bits: decimal output would hide the last of them. */
static inline void out_double(const char *label, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  out_word(label, bits);
}

/* One check line; returns its argument so that a program can say `return guest_check(...) & guest_check(...)`. */
static inline int guest_check(const char *what, int holds) {
  out_text(what);
  out_text(holds ? ": ok\n" : ": FAILED\n");
  return holds;
}

/* Marsaglia's xorshift64 with shifts 13, 7, 17. The state must not be 0. */
static inline uint64_t guest_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/* Folds a word into a running checksum: FNV-1a over its eight bytes at once, then a shift so that high bits count. */
static inline uint64_t guest_fold(uint64_t sum, uint64_t word) {
  sum = (sum ^ word) * UINT64_C(0x100000001b3);
  return sum ^ (sum >> 29);
}

#define GUEST_FOLD_START UINT64_C(0xcbf29ce484222325)

#ifdef __wasm32__
/* Exported: scale 0 is the smoke scale, -1 the standard one. Returns the exit status. */
#define GUEST_PROGRAM(smoke, standard)                                      \
  __attribute__((export_name("run"))) int32_t run(int32_t scale) {          \
    return guest(scale == 0 ? (smoke) : scale < 0 ? (standard) : (uint64_t)scale) ? 0 : 1; \
  }
#else
#define GUEST_PROGRAM(smoke, standard)                                      \
  int main(int argc, char **argv) {                                         \
    uint64_t scale = (standard);                                            \
    if (argc > 1) scale = strcmp(argv[1], "smoke") == 0 ? 0 : strtoull(argv[1], NULL, 10); \
    return guest(scale == 0 ? (smoke) : scale) ? 0 : 1;                     \
  }
#endif

#endif
