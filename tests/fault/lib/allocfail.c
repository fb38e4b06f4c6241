/* allocfail: an LD_PRELOAD library that lets allocations fail which the program's own code makes,
 * that is calls that come from the program's own text; those of libraries pass.
 *
 * ALLOCFAIL names a file of four 64-bit numbers, which both sides have mapped: first, every,
 * allocations, failures. Allocation number `first` fails and each `every`-th after it (0: only it);
 * first 0: none does. They may be changed at any time. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct plan {
	atomic_uint_least64_t first, every, allocations, failures;
};

static uintptr_t text_begin, text_end; /* of the program; 0: not known yet */
static struct plan *plan;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

/* The program comes first. */
static int find_text(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
			text_begin = info->dlpi_addr + part->p_vaddr;
			text_end = text_begin + part->p_memsz;
		}
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("ALLOCFAIL");
	if (path == NULL) {
		return;
	}
	int fd = open(path, O_RDWR | O_CLOEXEC);
	plan = fd < 0 ? MAP_FAILED
		      : mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (plan == MAP_FAILED) {
		abort();
	}
	(void)close(fd);
	(void)dl_iterate_phdr(find_text, NULL);
}

static bool fails(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;
	if (at < text_begin || at >= text_end) {
		return false;
	}
	uint64_t number = atomic_fetch_add(&plan->allocations, 1) + 1;
	uint64_t first = plan->first, every = plan->every;
	bool due = first != 0 && number >= first &&
		   (number == first || (every != 0 && (number - first) % every == 0));
	if (due) {
		(void)atomic_fetch_add(&plan->failures, 1);
		errno = ENOMEM;
	}
	return due;
}

#define FAILS fails(__builtin_return_address(0))

void *malloc(size_t size)
{
	return FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return FAILS ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return FAILS ? NULL : __libc_realloc(old, size);
}

char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = FAILS ? NULL : __libc_malloc(size);
	return copy == NULL ? NULL : memcpy(copy, text, size);
}
