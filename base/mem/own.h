/* own: scope-bound ownership of locals.
 *
 *   SL_AUTO(sl_free_auto) char *path = NULL;   freed when the scope ends
 *   *ret_path = SL_TAKE(path);                 ownership leaves the scope
 */
#ifndef SL_BASE_OWN_H
#define SL_BASE_OWN_H

#include <stdlib.h>

#define SL_AUTO(cleanup_fn) __attribute__((cleanup(cleanup_fn)))

/* Yields the pointer and sets the variable to NULL. */
#define SL_TAKE(ptr)                                                                               \
	({                                                                                         \
		__typeof__(ptr) taken_ = (ptr);                                                    \
		(ptr) = NULL;                                                                      \
		taken_;                                                                            \
	})

/* Defines `void <fn>_auto(type *p)`, which calls fn(*p), for SL_AUTO(). */
#define SL_DEFINE_AUTO(type, fn)                                                                   \
	static inline void fn##_auto(type *p)                                                      \
	{                                                                                          \
		fn(*p);                                                                            \
	}                                                                                          \
	struct sl_swallow_semicolon_

/* The struct that `ptr`, a pointer to its `member`, lies in. */
#define SL_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define SL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void sl_free_auto(void *p)
{
	free(*(void **)p);
}

#endif
