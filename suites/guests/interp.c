/*
 * A bytecode interpreter with a switch: loads, dispatch and unpredictable indirect jumps. The program it runs finds
 * the number below a limit with the longest Collatz sequence. Scale: the limit.
 * Check: the same search written in C.
 */
#include "guest.h"

enum { SET, MOVE, ADD, ADD_CONSTANT, MULTIPLY, SHIFT_RIGHT, AND_CONSTANT, JUMP, JUMP_IF_ZERO, JUMP_IF_LESS, HALT };

typedef struct {
  uint8_t op, a, b;
  int32_t c;
} Instruction;

/* Registers of the program below. */
enum { LIMIT, START, VALUE, LENGTH, BEST_LENGTH, BEST_START, ONE, THREE, PARITY, REGISTERS };

static const Instruction program[] = {
    /* 0 */ {SET, START, 0, 1},
    /* 1 */ {SET, ONE, 0, 1},
    /* 2 */ {SET, THREE, 0, 3},
    /* 3 */ {SET, BEST_LENGTH, 0, 0},
    /* 4: next start */ {JUMP_IF_LESS, START, LIMIT, 6},
    /* 5 */ {HALT, 0, 0, 0},
    /* 6 */ {MOVE, VALUE, START, 0},
    /* 7 */ {SET, LENGTH, 0, 1},
    /* 8: next value */ {JUMP_IF_LESS, ONE, VALUE, 10},
    /* 9 */ {JUMP, 0, 0, 18},
    /* 10 */ {ADD_CONSTANT, LENGTH, LENGTH, 1},
    /* 11 */ {AND_CONSTANT, PARITY, VALUE, 1},
    /* 12 */ {JUMP_IF_ZERO, PARITY, 0, 16},
    /* 13 */ {MULTIPLY, VALUE, THREE, 0},
    /* 14 */ {ADD_CONSTANT, VALUE, VALUE, 1},
    /* 15 */ {JUMP, 0, 0, 8},
    /* 16 */ {SHIFT_RIGHT, VALUE, VALUE, 1},
    /* 17 */ {JUMP, 0, 0, 8},
    /* 18: sequence done */ {JUMP_IF_LESS, BEST_LENGTH, LENGTH, 21},
    /* 19 */ {ADD, START, ONE, 0},
    /* 20 */ {JUMP, 0, 0, 4},
    /* 21 */ {MOVE, BEST_LENGTH, LENGTH, 0},
    /* 22 */ {MOVE, BEST_START, START, 0},
    /* 23 */ {JUMP, 0, 0, 19},
};

static uint64_t interpret(uint64_t *r) {
  uint64_t executed = 0;
  for (size_t pc = 0;;) {
    Instruction i = program[pc++];
    executed++;
    switch (i.op) {
      case SET: r[i.a] = (uint64_t)(int64_t)i.c; break;
      case MOVE: r[i.a] = r[i.b]; break;
      case ADD: r[i.a] += r[i.b]; break;
      case ADD_CONSTANT: r[i.a] = r[i.b] + (uint64_t)(int64_t)i.c; break;
      case MULTIPLY: r[i.a] *= r[i.b]; break;
      case SHIFT_RIGHT: r[i.a] = r[i.b] >> i.c; break;
      case AND_CONSTANT: r[i.a] = r[i.b] & (uint64_t)(int64_t)i.c; break;
      case JUMP: pc = (size_t)i.c; break;
      case JUMP_IF_ZERO: if (r[i.a] == 0) pc = (size_t)i.c; break;
      case JUMP_IF_LESS: if (r[i.a] < r[i.b]) pc = (size_t)i.c; break;
      case HALT: return executed;
    }
  }
}

static void search(uint64_t limit, uint64_t *best_start, uint64_t *best_length) {
  *best_length = 0;
  for (uint64_t start = 1; start < limit; start++) {
    uint64_t length = 1;
    for (uint64_t value = start; value > 1; length++) value = value % 2 == 0 ? value / 2 : 3 * value + 1;
    if (length > *best_length) *best_length = length, *best_start = start;
  }
}

static int guest(uint64_t scale) {
  uint64_t r[REGISTERS] = {0};
  r[LIMIT] = scale;
  uint64_t executed = interpret(r);
  out_count("executed", executed);
  out_count("start", r[BEST_START]);
  out_count("length", r[BEST_LENGTH]);
  uint64_t start = 0, length = 0;
  search(scale, &start, &length);
  return guest_check("search in C agrees", r[BEST_START] == start && r[BEST_LENGTH] == length);
}

GUEST_PROGRAM(160, 60000)
