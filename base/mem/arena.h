/* arena: memory that is given back all at once.
 *
 * One command, one read, one message: everything that it unpacks, builds and
 * encodes comes from one arena and goes with it, so nothing in between needs
 * an owner. Out of memory is sticky: the first failure makes every later call
 * return NULL, and sl_arena_failed() tells.
 *
 * Threads: one owner at a time, handed over like any other value. */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct sl_arena_chunk;

struct sl_arena {
	struct sl_arena_chunk *chunks; /* newest first */
	uint8_t *at, *end;             /* room left in the newest */
	size_t total_bytes;            /* asked of malloc */
	size_t max_bytes;              /* 0: no bound; beyond it: out of memory */
	bool failed;
	ProtobufCAllocator protobuf; /* allocates here, frees nothing */
};

/* Fills memory that someone else owns; allocates nothing yet. */
void sl_arena_init(struct sl_arena *arena, size_t max_bytes);
/* Gives everything back; the arena can be used again. */
void sl_arena_fini(struct sl_arena *arena);
bool sl_arena_failed(const struct sl_arena *arena);

/* `bytes` zeroed bytes, aligned for any type; NULL when out of memory. */
void *sl_arena_alloc(struct sl_arena *arena, size_t bytes);
/* The same, but nothing is zeroed: for those who fill all of it at once. */
void *sl_arena_raw(struct sl_arena *arena, size_t bytes);
#define SL_ARENA_NEW(arena, type) ((type *)sl_arena_alloc((arena), sizeof(type)))
#define SL_ARENA_ARRAY(arena, type, count) ((type *)sl_arena_alloc((arena), sizeof(type) * (count)))

void *sl_arena_dup(struct sl_arena *arena, const void *data, size_t bytes);
/* A copy of the NUL-terminated text. NULL text is copied as "". */
char *sl_arena_strdup(struct sl_arena *arena, const char *text);
char *sl_arena_printf(struct sl_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* For who does not know yet how long it gets, and writes from the back: all free bytes of the
 * newest chunk, at least `min` of them; false: out of memory. Nothing else is allocated until
 * sl_arena_keep() has made [from, *ret_to) the caller's; or the arena forgets it. */
bool sl_arena_spare(struct sl_arena *arena, size_t min, uint8_t **ret_from, uint8_t **ret_to);
void sl_arena_keep(struct sl_arena *arena, uint8_t *from);

/* For protobuf-c: `x__unpack(sl_arena_protobuf(arena), size, data)`; never free_unpacked() the
 * result. */
ProtobufCAllocator *sl_arena_protobuf(struct sl_arena *arena);

#endif
