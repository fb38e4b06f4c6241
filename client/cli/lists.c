/* Fields that all messages of a kind have, by their descriptors: pages and k=v maps. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

enum { PAGE_SIZE = 500 };

static const ProtobufCFieldDescriptor *repeated_field(const ProtobufCMessageDescriptor *type)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];
		if (f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_MESSAGE) {
			return f;
		}
	}
	return NULL;
}

/* protobuf-c's layout of a repeated message field. */
struct items {
	size_t *count;
	ProtobufCMessage ***list;
};

static struct items items_of(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	char *base = (char *)message;
	return (struct items){(size_t *)(void *)(base + field->quantifier_offset),
			      (ProtobufCMessage ***)(void *)(base + field->offset)};
}

/* Every repeated field's items of `from` go behind those of `to`. */
static bool merge(ProtobufCMessage *to, ProtobufCMessage *from)
{
	for (unsigned i = 0; i < to->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &to->descriptor->fields[i];
		if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE) {
			continue;
		}
		struct items a = items_of(to, f);
		struct items b = items_of(from, f);
		if (*b.count == 0) {
			continue;
		}
		ProtobufCMessage **list = realloc(*a.list, (*a.count + *b.count) * sizeof(*list));
		if (list == NULL) {
			return false;
		}
		memcpy(list + *a.count, *b.list, *b.count * sizeof(*list));
		*a.list = list;
		*a.count += *b.count;
		*b.count = 0; /* they belong to `to` now */
	}
	return true;
}

static void *field_at(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *f =
	    protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	assert(f != NULL);
	return (char *)(uintptr_t)message + f->offset;
}

static const char *next_token(const ProtobufCMessage *response)
{
	Sluice__V1__PageInfo **page = field_at(response, "page");
	return *page != NULL ? (*page)->next_page_token : "";
}

void *cli_list(struct cli *cli, enum sluice_rpc rpc, ProtobufCMessage *request)
{
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__PageRequest **slot = field_at(request, "page");
	ProtobufCMessage *first = NULL;
	assert(repeated_field(sluice_method_of(rpc)->response) != NULL);
	page.page_size = PAGE_SIZE;
	*slot = &page;
	for (;;) {
		ProtobufCMessage *response = NULL;
		if (sluice_invoke(cli_client(cli), rpc, &cli->call, request, &response,
				  &cli->error) != SLUICE_OK) {
			*slot = NULL;
			return NULL;
		}
		(void)cli_keep(cli, response);
		page.page_token = cli_str(next_token(response));
		if (first == NULL) {
			first = response;
		} else if (!merge(first, response)) {
			abort(); /* as in cli_keep() */
		}
		if (page.page_token[0] == '\0') {
			break;
		}
	}
	*slot = NULL;
	/* What is printed is one whole list: no further page. */
	Sluice__V1__PageInfo **info = field_at(first, "page");
	if (*info != NULL && (*info)->next_page_token[0] != '\0') {
		(*info)->next_page_token[0] = '\0';
	}
	return first;
}

/* Map entries of texts are messages of key and value, in this order. */
struct pair {
	ProtobufCMessage base;
	char *key, *value;
};

void *cli_pairs(struct cli *cli, const struct sl_flag_list *pairs,
		const ProtobufCMessageDescriptor *entry)
{
	assert(entry->sizeof_message == sizeof(struct pair));
	struct pair **entries = SL_ARENA_ARRAY(&cli->arena, struct pair *, pairs->count + 1);
	for (size_t i = 0; entries != NULL && i < pairs->count; i++) {
		struct pair *pair = SL_ARENA_NEW(&cli->arena, struct pair);
		char *key = sl_arena_strdup(&cli->arena, pairs->items[i]);
		if (pair == NULL || key == NULL) {
			break;
		}
		char *equals = strchr(key, '=');
		assert(equals != NULL); /* base/flags has looked */
		*equals = '\0';
		protobuf_c_message_init(entry, pair);
		pair->key = key;
		pair->value = equals + 1;
		entries[i] = pair;
	}
	if (sl_arena_failed(&cli->arena)) {
		abort(); /* as in cli_keep() */
	}
	return entries;
}
