/* sluice instance set, instance label: what can be changed of an instance. */
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/instance.h"

/* What is "" stays as it is. */
struct set_flags {
	const char *url, *pull, *drift;
};
static const struct sl_flag set_flags[] = {
    {.name = "url",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct set_flags, url),
     .max = 1023,
     .placeholder = "URL",
     .help = "Where users reach it from now on; `none` for nowhere."},
    INSTANCE_PULL_FLAG(
	struct set_flags, pull,
	.help = "From now on: auto, it fetches by itself what it is told to have; manual, "
		"each step waits for `sluice pull`."),
    INSTANCE_DRIFT_FLAG(struct set_flags, drift,
			.help = "About files that are changed there, from now on: report says so, "
				"correct puts them back."),
    {.name = NULL},
};

Sluice__V1__Instance *instance_get(struct cli *cli, const char *name,
				   Sluice__V1__GetInstanceResponse **ret_response)
{
	Sluice__V1__GetInstanceRequest request = SLUICE__V1__GET_INSTANCE_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.instance = cli_str(name);
	return CLI_CALL(cli, get_instance, &request, ret_response) ? (*ret_response)->instance
								   : NULL;
}

Sluice__V1__PullMode instance_pull_mode(const char *word)
{
	if (word[0] == '\0') {
		return SLUICE__V1__PULL_MODE__PULL_MODE_UNSPECIFIED;
	}
	return strcmp(word, "manual") == 0 ? SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL
					   : SLUICE__V1__PULL_MODE__PULL_MODE_AUTO;
}

Sluice__V1__DriftPolicy instance_drift_policy(const char *word)
{
	if (word[0] == '\0') {
		return SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_UNSPECIFIED;
	}
	return strcmp(word, "correct") == 0 ? SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT
					    : SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_REPORT;
}

const char *instance_drift_name(const Sluice__V1__Instance *in)
{
	return in->drift == SLUICE__V1__DRIFT_POLICY__DRIFT_POLICY_CORRECT ? "CORRECT" : "REPORT";
}

const char *instance_pull_name(const Sluice__V1__Instance *in)
{
	return in->pull == SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL ? "MANUAL" : "AUTO";
}

/* One word of `instance label`: "k=v" sets, "k-" removes. */
static bool apply_label(struct cli *cli, Sluice__V1__UpdateInstanceRequest *request,
			const char *word)
{
	const char *equals = strchr(word, '=');
	size_t length = strlen(word);
	bool removes = equals == NULL && length > 1 && word[length - 1] == '-';
	size_t key_length = equals != NULL ? (size_t)(equals - word) : length - 1;
	if ((equals == NULL && !removes) || key_length == 0) {
		return false;
	}
	size_t kept = 0;
	for (size_t i = 0; i < request->n_labels; i++) {
		const char *key = request->labels[i]->key;
		if (strlen(key) != key_length || strncmp(key, word, key_length) != 0) {
			request->labels[kept++] = request->labels[i];
		}
	}
	request->n_labels = kept;
	if (!removes) {
		const struct sl_flag_list pair = {.items = &word, .count = 1};
		Sluice__V1__UpdateInstanceRequest__LabelsEntry **entry = cli_pairs(
		    cli, &pair, &sluice__v1__update_instance_request__labels_entry__descriptor);
		request->labels[request->n_labels++] = entry[0];
	}
	return true;
}

/* The labels that the instance has now, with room for one more for each argument. */
static bool copy_labels(struct cli *cli, const Sluice__V1__Instance *in, size_t room,
			Sluice__V1__UpdateInstanceRequest *request)
{
	Sluice__V1__UpdateInstanceRequest__LabelsEntry **labels = SL_ARENA_ARRAY(
	    &cli->arena, Sluice__V1__UpdateInstanceRequest__LabelsEntry *, in->n_labels + room + 1);
	for (size_t i = 0; labels != NULL && i < in->n_labels; i++) {
		labels[i] =
		    SL_ARENA_NEW(&cli->arena, Sluice__V1__UpdateInstanceRequest__LabelsEntry);
		if (labels[i] == NULL) {
			return false;
		}
		sluice__v1__update_instance_request__labels_entry__init(labels[i]);
		labels[i]->key = in->labels[i]->key;
		labels[i]->value = in->labels[i]->value;
	}
	request->labels = labels;
	request->n_labels = in->n_labels;
	return labels != NULL;
}

/* Labels by words, the rest by flags. */
static int set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct set_flags *flags = config;
	Sluice__V1__GetInstanceResponse *now = NULL;
	Sluice__V1__UpdateInstanceRequest request = SLUICE__V1__UPDATE_INSTANCE_REQUEST__INIT;
	Sluice__V1__UpdateInstanceResponse *response = NULL;
	if (args->count == 1 && flags->url[0] == '\0' && flags->pull[0] == '\0' &&
	    flags->drift[0] == '\0') {
		return cli_complain(CLI_USAGE, "nothing is to be changed: label takes k=v, k- or "
					       "--url, set takes --url, --pull and --drift");
	}
	const Sluice__V1__Instance *in = instance_get(cli, args->items[0], &now);
	if (in == NULL) {
		return cli_fail(cli);
	}
	if (!copy_labels(cli, in, args->count, &request)) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	for (size_t i = 1; i < args->count; i++) {
		if (!apply_label(cli, &request, args->items[i])) {
			return cli_complain(
			    CLI_USAGE, "'%s' is neither k=v (sets a label) nor k- (removes it)",
			    args->items[i]);
		}
	}
	const char *url = flags->url[0] == '\0' ? in->public_url : flags->url;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = in->id;
	request.public_url = cli_str(strcmp(url, "none") == 0 ? "" : url);
	request.pull = instance_pull_mode(flags->pull);
	request.drift = instance_drift_policy(flags->drift);
	cli->write.expected_revision = in->revision; /* somebody else's labels would be lost */
	if (!CLI_CALL(cli, update_instance, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->instance->name)) {
		cli_say(cli, "instance %s is changed: %zu labels, pull %s, drift %s\n",
			response->instance->name, response->instance->n_labels,
			instance_pull_name(response->instance),
			instance_drift_name(response->instance));
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_instance_label = {
    .about = {.name = "instance label",
	      .synopsis = "NAME [k=v | k-]...",
	      .summary = "Set and remove labels, and what instance set changes",
	      .args_min = 1,
	      .args_max = 33,
	      .flags = set_flags,
	      .examples = (const struct sl_example[]){{"sluice instance label prod-1 zone=eu old-",
						       "Sets zone, removes old, leaves the rest."},
						      {NULL, NULL}}},
    .run = set,
    .config_size = sizeof(struct set_flags),
};
const struct cli_command cli_cmd_instance_set = {
    .about = {.name = "instance set",
	      .synopsis = "NAME",
	      .summary = "Change how an instance pulls, what it does about drift, and its URL",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = set_flags},
    .run = set,
    .config_size = sizeof(struct set_flags),
};
