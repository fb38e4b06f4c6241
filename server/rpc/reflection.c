/* grpc.reflection.v1alpha and v1: the same bytes under two names. */
#include <string.h>

#include "base/mem/arena.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "server/rpc/reflection_index.h"
#include "server/rpc/rpc_internal.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest question;
typedef Grpc__Reflection__V1__ServerReflectionResponse answer;
typedef Grpc__Reflection__V1__FileDescriptorResponse file_answer;
typedef Grpc__Reflection__V1__ExtensionNumberResponse number_answer;
typedef Grpc__Reflection__V1__ListServiceResponse list_answer;
typedef Grpc__Reflection__V1__ServiceResponse service_answer;
typedef Grpc__Reflection__V1__ErrorResponse error_answer;
#define ASKED(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define ANSWERED(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind

struct rpc_reflection {
	struct reflection_index index;
};

sl_code rpc_reflection_new(struct sl_bytes descriptors, struct rpc_reflection **ret_reflection,
			   struct sl_err *err)
{
	struct rpc_reflection *reflection = calloc(1, sizeof(*reflection));
	if (reflection == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = reflection_index_init(&reflection->index, descriptors, err);
	if (code != SL_OK) {
		free(reflection);
		return code;
	}
	*ret_reflection = reflection;
	return SL_OK;
}

void rpc_reflection_free(struct rpc_reflection *reflection)
{
	if (reflection == NULL) {
		return;
	}
	reflection_index_fini(&reflection->index);
	free(reflection);
}

/* --- one answer; out of memory shows in the arena ---------------------------------- */

static void answer_error(answer *to, struct sl_arena *arena, sl_code code, const char *text)
{
	error_answer *error = SL_ARENA_NEW(arena, error_answer);
	if (error == NULL) {
		return;
	}
	grpc__reflection__v1__error_response__init(error);
	error->error_code = (int32_t)code;
	error->error_message = (char *)text;
	to->message_response_case = ANSWERED(ERROR_RESPONSE);
	to->error_response = error;
}

/* The file asked for first, then what it needs. */
static void answer_file(answer *to, struct sl_arena *arena, const struct reflection_index *index,
			size_t file)
{
	if (file == REFLECTION_NONE) {
		answer_error(to, arena, SL_NOT_FOUND, "not known to this server");
		return;
	}
	file_answer *files = SL_ARENA_NEW(arena, file_answer);
	bool *in = SL_ARENA_ARRAY(arena, bool, index->file_count);
	ProtobufCBinaryData *list = SL_ARENA_ARRAY(arena, ProtobufCBinaryData, index->file_count);
	if (sl_arena_failed(arena)) {
		return;
	}
	grpc__reflection__v1__file_descriptor_response__init(files);
	reflection_closure(index, file, in);
	struct sl_bytes bytes = index->files[file].bytes;
	list[files->n_file_descriptor_proto++] =
	    (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)bytes.data};
	for (size_t i = 0; i < index->file_count; i++) {
		if (in[i] && i != file) {
			bytes = index->files[i].bytes;
			list[files->n_file_descriptor_proto++] =
			    (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)bytes.data};
		}
	}
	files->file_descriptor_proto = list;
	to->message_response_case = ANSWERED(FILE_DESCRIPTOR_RESPONSE);
	to->file_descriptor_response = files;
}

static void answer_numbers(answer *to, struct sl_arena *arena, const struct reflection_index *index,
			   const char *type)
{
	if (reflection_file_of_symbol(index, type) == REFLECTION_NONE) {
		answer_error(to, arena, SL_NOT_FOUND, "no such message");
		return;
	}
	number_answer *numbers = SL_ARENA_NEW(arena, number_answer);
	int32_t *list = SL_ARENA_ARRAY(arena, int32_t, index->extension_count + 1);
	if (sl_arena_failed(arena)) {
		return;
	}
	grpc__reflection__v1__extension_number_response__init(numbers);
	for (size_t i = 0; i < index->extension_count; i++) {
		if (strcmp(index->extensions[i].extended, type) == 0) {
			list[numbers->n_extension_number++] = index->extensions[i].number;
		}
	}
	numbers->base_type_name = (char *)type;
	numbers->extension_number = list;
	to->message_response_case = ANSWERED(ALL_EXTENSION_NUMBERS_RESPONSE);
	to->all_extension_numbers_response = numbers;
}

static void add_services(list_answer *list, struct sl_arena *arena, const char *const *names)
{
	for (; names != NULL && *names != NULL; names++) {
		service_answer *service = SL_ARENA_NEW(arena, service_answer);
		if (service == NULL) {
			return;
		}
		grpc__reflection__v1__service_response__init(service);
		service->name = (char *)*names;
		list->service[list->n_service++] = service;
	}
}

static size_t count(const char *const *names)
{
	size_t n = 0;
	while (names != NULL && names[n] != NULL) {
		n++;
	}
	return n;
}

static void answer_services(answer *to, struct sl_arena *arena, const struct rpc_server *server)
{
	list_answer *list = SL_ARENA_NEW(arena, list_answer);
	size_t room = count(server->options.services) + count(rpc_builtin_services);
	service_answer **services = SL_ARENA_ARRAY(arena, service_answer *, room);
	if (sl_arena_failed(arena)) {
		return;
	}
	grpc__reflection__v1__list_service_response__init(list);
	list->service = services;
	add_services(list, arena, server->options.services);
	add_services(list, arena, rpc_builtin_services);
	to->message_response_case = ANSWERED(LIST_SERVICES_RESPONSE);
	to->list_services_response = list;
}

static void answer_question(answer *to, struct sl_arena *arena, const struct rpc_server *server,
			    question *asked)
{
	const struct reflection_index *index = &server->reflection->index;
	grpc__reflection__v1__server_reflection_response__init(to);
	to->valid_host = asked->host;
	to->original_request = asked;
	switch (asked->message_request_case) {
	case ASKED(FILE_BY_FILENAME):
		answer_file(to, arena, index,
			    reflection_file_named(index, asked->file_by_filename));
		return;
	case ASKED(FILE_CONTAINING_SYMBOL):
		answer_file(to, arena, index,
			    reflection_file_of_symbol(index, asked->file_containing_symbol));
		return;
	case ASKED(FILE_CONTAINING_EXTENSION):
		answer_file(to, arena, index,
			    reflection_file_of_extension(
				index, asked->file_containing_extension->containing_type,
				asked->file_containing_extension->extension_number));
		return;
	case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
		answer_numbers(to, arena, index, asked->all_extension_numbers_of_type);
		return;
	case ASKED(LIST_SERVICES):
		answer_services(to, arena, server);
		return;
	default:
		answer_error(to, arena, SL_INVALID_ARGUMENT,
			     "the request asks nothing that is known");
	}
}

/* --- the stream ----------------------------------------------------------------------- */

static sl_code reply(struct rpc_stream *stream, struct sl_bytes request,
		     const struct rpc_server *server, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	question *asked = grpc__reflection__v1__server_reflection_request__unpack(
	    sl_arena_protobuf(&arena), request.size, request.data);
	if (asked == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request is not a ServerReflectionRequest");
	}
	answer to;
	answer_question(&to, &arena, server, asked);
	size_t size = grpc__reflection__v1__server_reflection_response__get_packed_size(&to);
	uint8_t *bytes = sl_arena_alloc(&arena, size + 1);
	if (bytes == NULL || sl_arena_failed(&arena)) {
		return sl_err_no_memory(err);
	}
	(void)grpc__reflection__v1__server_reflection_response__pack(&to, bytes);
	sl_code code = rpc_stream_send_bytes(stream, SL_BYTES(bytes, size), 0);
	if (code != SL_OK) {
		return sl_err_because(err, code, SL_REASON_TOO_MANY,
				      "read the answers before asking more");
	}
	return SL_OK;
}

static void on_message(struct rpc_stream *stream, struct sl_bytes request, void *ctx)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = reply(stream, request, ctx, &err);
	if (code != SL_OK) {
		rpc_stream_finish(stream, code, &err);
	}
}

static void on_half_closed(struct rpc_stream *stream, void *ctx)
{
	(void)ctx;
	rpc_stream_finish(stream, SL_OK, NULL);
}

const struct rpc_stream_events rpc_reflect = {
    .message = on_message,
    .half_closed = on_half_closed,
};
