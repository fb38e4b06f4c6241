#include "tests/unit/agent/lib/want.h"

#include <string.h>

char *want_id(struct sl_arena *arena, const char *prefix, char letter)
{
	char *id = sl_arena_printf(arena, "%s_aaaaaaaaaaaaaaaaaaaa", prefix);
	memset(id + 4, letter, 20);
	return id;
}

Sluice__V1__Bundle *want_bundle(struct sl_arena *arena, char letter)
{
	Sluice__V1__Bundle *bundle = SL_ARENA_NEW(arena, Sluice__V1__Bundle);
	sluice__v1__bundle__init(bundle);
	bundle->version_id = want_id(arena, "ver", letter);
	bundle->version = sl_arena_printf(arena, "v%c", letter);
	bundle->repository_id = want_id(arena, "rep", 'r');
	bundle->url = sl_arena_strdup(arena, "https://git.example/shop.git");
	bundle->ref = sl_arena_printf(arena, "refs/tags/sluice/%c", letter);
	bundle->commit = sl_arena_strdup(arena, "0123456789abcdef0123456789abcdef01234567");
	bundle->tree = sl_arena_strdup(arena, "76543210fedcba9876543210fedcba9876543210");
	bundle->digest.len = 32;
	bundle->digest.data = sl_arena_alloc(arena, 32);
	memset(bundle->digest.data, letter, 32);
	bundle->files = 1;
	bundle->bytes = 10;
	return bundle;
}

Sluice__V1__ManifestApp *want_app(struct sl_arena *arena, char letter, char activate,
				  const char *keep)
{
	Sluice__V1__ManifestApp *app = SL_ARENA_NEW(arena, Sluice__V1__ManifestApp);
	sluice__v1__manifest_app__init(app);
	app->app_id = want_id(arena, "app", letter);
	app->slug = sl_arena_printf(arena, "app-%c", letter);
	app->name = app->slug;
	if (activate != 0) {
		app->activate = want_id(arena, "ver", activate);
	}
	app->take_down = activate == 0;
	app->n_keep = strlen(keep);
	app->keep = SL_ARENA_ARRAY(arena, Sluice__V1__Bundle *, app->n_keep + 1);
	for (size_t i = 0; i < app->n_keep; i++) {
		app->keep[i] = want_bundle(arena, keep[i]);
	}
	return app;
}

Sluice__V1__Manifest *want_manifest(struct sl_arena *arena, uint64_t sequence)
{
	Sluice__V1__Manifest *manifest = SL_ARENA_NEW(arena, Sluice__V1__Manifest);
	Google__Protobuf__Timestamp *expires = SL_ARENA_NEW(arena, Google__Protobuf__Timestamp);
	sluice__v1__manifest__init(manifest);
	google__protobuf__timestamp__init(expires);
	expires->seconds = WANT_EXPIRES_S;
	manifest->instance_id = sl_arena_strdup(arena, WANT_INSTANCE);
	manifest->instance = sl_arena_strdup(arena, "prod-1");
	manifest->environment = sl_arena_strdup(arena, "production");
	manifest->sequence = sequence;
	manifest->expires_at = expires;
	manifest->apps = SL_ARENA_ARRAY(arena, Sluice__V1__ManifestApp *, 8);
	manifest->removed = SL_ARENA_ARRAY(arena, char *, 8);
	return manifest;
}

void want_add(struct sl_arena *arena, Sluice__V1__Manifest *manifest, Sluice__V1__ManifestApp *app)
{
	(void)arena;
	manifest->apps[manifest->n_apps++] = app;
}

void want_remove(struct sl_arena *arena, Sluice__V1__Manifest *manifest, char letter)
{
	manifest->removed[manifest->n_removed++] = want_id(arena, "app", letter);
}

struct sl_bytes want_pack(struct sl_arena *arena, const Sluice__V1__Manifest *manifest)
{
	size_t size = sluice__v1__manifest__get_packed_size(manifest);
	uint8_t *bytes = sl_arena_alloc(arena, size + 1);
	(void)sluice__v1__manifest__pack(manifest, bytes);
	return SL_BYTES(bytes, size);
}
