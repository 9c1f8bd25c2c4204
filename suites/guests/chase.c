/*
 * Walk of a linked list whose nodes lie in random order in memory: one dependent load after the other, each to a
 * fresh cache line, over 32 MiB. Scale: MiB walked (64 bytes a node); the list itself is the smaller of that and 32.
 * Check: the list is one cycle (Sattolo's shuffle), so whole laps end where they began, and the sum of the values is
 * known in closed form.
 */
#include "guest.h"

#define LARGEST_LIST_MIB 32

typedef struct Node {
  struct Node *next;
  uint64_t value;
  uint8_t rest_of_line[64 - sizeof(struct Node *) - sizeof(uint64_t) - (8 - sizeof(struct Node *))];
} Node;

_Static_assert(sizeof(Node) == 64, "a node fills one cache line");

static int guest(uint64_t scale) {
  size_t mib = scale < LARGEST_LIST_MIB ? scale : LARGEST_LIST_MIB;
  size_t count = mib * 1024 * 1024 / sizeof(Node);
  uint64_t laps = scale / mib;
  Node *nodes = guest_alloc(count * sizeof *nodes);
  uint32_t *order = guest_alloc(count * sizeof *order);
  for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
  uint64_t random = 0xc4a5e;
  for (size_t i = count - 1; i > 0; i--) {
    size_t j = (guest_random(&random) >> 32) * i >> 32;
    uint32_t other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
  for (size_t i = 0; i < count; i++) nodes[i] = (Node){&nodes[order[i]], (uint64_t)i * i, {0}};

  uint64_t sum = 0, steps = 0;
  const Node *at = nodes;
  for (uint64_t lap = 0; lap < laps; lap++) {
    for (size_t i = 0; i < count; i++, steps++) {
      sum += at->value;
      at = at->next;
    }
  }
  uint64_t n = count;
  uint64_t squares = (n - 1) * n * (2 * n - 1) / 6;
  /* A second, shorter walk must meet every node once before it meets the first again. */
  size_t cycle = 1;
  for (const Node *node = nodes->next; node != nodes && cycle <= count; node = node->next) cycle++;
  out_count("nodes", count);
  out_count("steps", steps);
  out_count("sum", sum);
  return guest_check("closed", at == nodes) & guest_check("one cycle", cycle == count) &
         guest_check("sum of squares", sum == laps * squares);
}

GUEST_PROGRAM(1, 160)
