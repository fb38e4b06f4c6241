/* want: manifests for tests, made in an arena. */
#ifndef SL_TESTS_AGENT_WANT_H
#define SL_TESTS_AGENT_WANT_H

#include "base/bytes/bytes.h"
#include "base/mem/arena.h"
#include "sluice/v1/agent.pb-c.h"

#define WANT_INSTANCE "ins_aaaaaaaaaaaaaaaaaaaa"
#define WANT_EXPIRES_S 2000000000

/* Ids that differ by one letter, a to z. */
char *want_id(struct sl_arena *arena, const char *prefix, char letter);

/* Version `letter` named "v<letter>"; its digest is 32 times `letter`. */
Sluice__V1__Bundle *want_bundle(struct sl_arena *arena, char letter);

/* App `letter` with slug "app-<letter>"; activate: a letter or 0; keep: letters. */
Sluice__V1__ManifestApp *want_app(struct sl_arena *arena, char letter, char activate,
				  const char *keep);

/* An empty manifest for WANT_INSTANCE, which expires at WANT_EXPIRES_S. */
Sluice__V1__Manifest *want_manifest(struct sl_arena *arena, uint64_t sequence);
void want_add(struct sl_arena *arena, Sluice__V1__Manifest *manifest, Sluice__V1__ManifestApp *app);
void want_remove(struct sl_arena *arena, Sluice__V1__Manifest *manifest, char letter);

struct sl_bytes want_pack(struct sl_arena *arena, const Sluice__V1__Manifest *manifest);

#endif
