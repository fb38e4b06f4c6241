#include "server/rpc/reflection_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "google/protobuf/descriptor.pb-c.h"

typedef Google__Protobuf__FileDescriptorSet file_set;
typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;

#define NESTING_MAX 64

/* One walk counts, a second one fills what the first has sized. */
struct walk {
	struct reflection_index *index;
	size_t file;
	size_t symbols, extensions;
	bool filling;
};

static const char *name_in(struct walk *walk, const char *scope, const char *name)
{
	const char *dot = scope[0] != '\0' ? "." : "";
	return sl_arena_printf(&walk->index->arena, "%s%s%s", scope, dot, name);
}

/* Returns the full name, "" while counting. */
static const char *add_symbol(struct walk *walk, const char *scope, const char *name)
{
	size_t at = walk->symbols++;
	if (!walk->filling) {
		return "";
	}
	const char *full = name_in(walk, scope, name);
	if (full == NULL) {
		return "";
	}
	walk->index->symbols[at] = (struct reflection_symbol){.name = full, .file = walk->file};
	return full;
}

static void walk_extensions(struct walk *walk, const char *scope, field_proto **fields,
			    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)add_symbol(walk, scope, fields[i]->name);
		size_t at = walk->extensions++;
		if (!walk->filling) {
			continue;
		}
		const char *extended = fields[i]->extendee; /* ".pkg.Message" */
		walk->index->extensions[at] = (struct reflection_extension){
		    .extended = sl_arena_strdup(&walk->index->arena,
						extended[0] == '.' ? extended + 1 : extended),
		    .number = fields[i]->number,
		    .file = walk->file,
		};
	}
}

/* A value's full name is its enum's sibling's, as in C++. */
static void walk_enums(struct walk *walk, const char *scope, enum_proto **enums, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)add_symbol(walk, scope, enums[i]->name);
		for (size_t k = 0; k < enums[i]->n_value; k++) {
			(void)add_symbol(walk, scope, enums[i]->value[k]->name);
		}
	}
}

static void walk_messages(struct walk *walk, const char *scope, message_proto **messages,
			  size_t count, unsigned depth)
{
	for (size_t i = 0; i < count && depth < NESTING_MAX; i++) {
		const message_proto *message = messages[i];
		const char *full = add_symbol(walk, scope, message->name);
		for (size_t k = 0; k < message->n_field; k++) {
			(void)add_symbol(walk, full, message->field[k]->name);
		}
		walk_enums(walk, full, message->enum_type, message->n_enum_type);
		walk_extensions(walk, full, message->extension, message->n_extension);
		walk_messages(walk, full, message->nested_type, message->n_nested_type, depth + 1);
	}
}

static void walk_services(struct walk *walk, const char *scope, service_proto **services,
			  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *full = add_symbol(walk, scope, services[i]->name);
		for (size_t k = 0; k < services[i]->n_method; k++) {
			(void)add_symbol(walk, full, services[i]->method[k]->name);
		}
	}
}

static void walk_set(struct walk *walk, const file_set *set)
{
	walk->symbols = 0;
	walk->extensions = 0;
	for (walk->file = 0; walk->file < set->n_file; walk->file++) {
		const file_proto *file = set->file[walk->file];
		walk_messages(walk, file->package, file->message_type, file->n_message_type, 0);
		walk_enums(walk, file->package, file->enum_type, file->n_enum_type);
		walk_extensions(walk, file->package, file->extension, file->n_extension);
		walk_services(walk, file->package, file->service, file->n_service);
	}
}

static bool read_varint(struct sl_bytes *from, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && from->size > 0; shift += 7) {
		uint8_t byte = *from->data++;
		from->size--;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* A set is `repeated FileDescriptorProto file = 1` and nothing else, so each
 * file's bytes can be handed out as they are. */
static bool slice_files(struct reflection_index *index, struct sl_bytes set)
{
	for (size_t i = 0; i < index->file_count; i++) {
		uint64_t tag = 0, size = 0;
		if (!read_varint(&set, &tag) || tag != (1 << 3 | 2) || !read_varint(&set, &size) ||
		    size > set.size) {
			return false;
		}
		index->files[i].bytes = SL_BYTES(set.data, (size_t)size);
		set.data += size;
		set.size -= (size_t)size;
	}
	return set.size == 0;
}

static void resolve_imports(struct reflection_index *index, size_t at, const file_proto *from)
{
	struct reflection_file *file = &index->files[at];
	file->imports = SL_ARENA_ARRAY(&index->arena, size_t, from->n_dependency + 1);
	for (size_t i = 0; file->imports != NULL && i < from->n_dependency; i++) {
		size_t import = reflection_file_named(index, from->dependency[i]);
		if (import != REFLECTION_NONE) {
			file->imports[file->import_count++] = import;
		}
	}
}

static int by_symbol(const void *a, const void *b)
{
	const struct reflection_symbol *left = a, *right = b;
	return strcmp(left->name, right->name);
}

static int by_extension(const void *a, const void *b)
{
	const struct reflection_extension *left = a, *right = b;
	int order = strcmp(left->extended, right->extended);
	return order != 0 ? order : (left->number > right->number) - (left->number < right->number);
}

static sl_code build(struct reflection_index *index, const file_set *set, struct sl_bytes bytes,
		     struct sl_err *err)
{
	struct walk walk = {.index = index};
	walk_set(&walk, set);
	index->files = SL_ARENA_ARRAY(&index->arena, struct reflection_file, set->n_file + 1);
	index->symbols = SL_ARENA_ARRAY(&index->arena, struct reflection_symbol, walk.symbols + 1);
	index->extensions =
	    SL_ARENA_ARRAY(&index->arena, struct reflection_extension, walk.extensions + 1);
	if (!sl_arena_failed(&index->arena)) {
		walk.filling = true;
		walk_set(&walk, set);
		index->file_count = set->n_file;
		for (size_t i = 0; i < set->n_file; i++) {
			index->files[i].name = sl_arena_strdup(&index->arena, set->file[i]->name);
		}
	}
	for (size_t i = 0; i < index->file_count && !sl_arena_failed(&index->arena); i++) {
		resolve_imports(index, i, set->file[i]);
	}
	if (sl_arena_failed(&index->arena)) {
		return sl_err_no_memory(err);
	}
	index->symbol_count = walk.symbols;
	index->extension_count = walk.extensions;
	qsort(index->symbols, index->symbol_count, sizeof(*index->symbols), by_symbol);
	qsort(index->extensions, index->extension_count, sizeof(*index->extensions), by_extension);
	if (!slice_files(index, bytes)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the descriptor set has unknown fields");
	}
	return SL_OK;
}

sl_code reflection_index_init(struct reflection_index *index, struct sl_bytes set,
			      struct sl_err *err)
{
	*index = (struct reflection_index){0};
	sl_arena_init(&index->arena, 0);
	SL_AUTO(sl_arena_fini) struct sl_arena unpacked;
	sl_arena_init(&unpacked, 0);
	file_set *files = google__protobuf__file_descriptor_set__unpack(
	    sl_arena_protobuf(&unpacked), set.size, set.data);
	if (files == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the descriptors are not a google.protobuf.FileDescriptorSet, or "
				  "memory is out");
	}
	sl_code code = build(index, files, set, err);
	if (code != SL_OK) {
		reflection_index_fini(index);
	}
	return code;
}

void reflection_index_fini(struct reflection_index *index)
{
	sl_arena_fini(&index->arena);
	*index = (struct reflection_index){0};
}

size_t reflection_file_named(const struct reflection_index *index, const char *name)
{
	for (size_t i = 0; i < index->file_count; i++) {
		if (strcmp(index->files[i].name, name) == 0) {
			return i;
		}
	}
	return REFLECTION_NONE;
}

size_t reflection_file_of_symbol(const struct reflection_index *index, const char *symbol)
{
	const struct reflection_symbol key = {.name = symbol};
	const struct reflection_symbol *found =
	    bsearch(&key, index->symbols, index->symbol_count, sizeof(*index->symbols), by_symbol);
	return found != NULL ? found->file : REFLECTION_NONE;
}

size_t reflection_file_of_extension(const struct reflection_index *index, const char *extended,
				    int32_t number)
{
	const struct reflection_extension key = {.extended = extended, .number = number};
	const struct reflection_extension *found =
	    bsearch(&key, index->extensions, index->extension_count, sizeof(*index->extensions),
		    by_extension);
	return found != NULL ? found->file : REFLECTION_NONE;
}

void reflection_closure(const struct reflection_index *index, size_t file, bool *in)
{
	in[file] = true;
	for (size_t i = 0; i < index->files[file].import_count; i++) {
		if (!in[index->files[file].imports[i]]) {
			reflection_closure(index, index->files[file].imports[i], in);
		}
	}
}
