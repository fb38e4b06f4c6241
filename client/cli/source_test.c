/* sluice source test: can it be reached from an instance, and what its tests said. */
#include <inttypes.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/source_test.h"

#define FINE SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_UNSPECIFIED

/* "12.3 ms"; "" when it did not come to that. */
static const char *took(char buffer[static TEXT_SIZE], uint32_t us)
{
	buffer[0] = '\0';
	if (us > 0) {
		(void)snprintf(buffer, TEXT_SIZE, "%" PRIu32 ".%" PRIu32 " ms", us / 1000,
			       us % 1000 / 100);
	}
	return buffer;
}

/* "NO_TLS"; "reached" */
static const char *verdict(char buffer[static TEXT_SIZE], const Sluice__V1__SourceTest *test)
{
	return test->failure == FINE
		   ? text_copy(buffer, "reached")
		   : text_enum(buffer, &sluice__v1__source_test_failure__descriptor,
			       (int)test->failure);
}

static void show_certificate(const struct cli *cli, const Sluice__V1__SourceCertificate *cert)
{
	char since[TEXT_SIZE], until[TEXT_SIZE];
	cli_fact(cli, "certificate", "%s", cert->subject);
	cli_fact(cli, "issued by", "%s", cert->issuer);
	for (size_t i = 0; i < cert->n_names; i++) {
		cli_fact(cli, i == 0 ? "for" : "", "%s", cert->names[i]);
	}
	cli_fact(cli, "valid", "%s to %s", text_time(since, cert->not_before),
		 text_time(until, cert->not_after));
	cli_fact(cli, "verified", "%s", cert->verified ? "yes" : cert->verify_error);
}

static void show_test(const struct cli *cli, const Sluice__V1__SourceTest *test)
{
	char text[TEXT_SIZE];
	cli_fact(cli, "from", "%s", test->instance);
	cli_fact(cli, "result", "%s%s%s", verdict(text, test), test->text[0] != '\0' ? ": " : "",
		 test->text);
	cli_fact(cli, "resolve", "%s", took(text, test->resolve_us));
	cli_fact(cli, "connect", "%s", took(text, test->connect_us));
	cli_fact(cli, "tls", "%s", took(text, test->tls_us));
	cli_fact(cli, "protocol", "%s", test->protocol);
	if (test->certificate != NULL) {
		show_certificate(cli, test->certificate);
	}
}

/* --- test --- */

struct test_flags {
	const char *instance;
};
static const struct sl_flag test_flags[] = {
    {.name = "instance",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct test_flags, instance),
     .min = 1,
     .required = true,
     .placeholder = "INSTANCE",
     .help = "The instance whose agent looks, with the options of its environment."},
    {.name = NULL},
};

static int test(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct test_flags *flags = config;
	Sluice__V1__TestSourceRequest request = SLUICE__V1__TEST_SOURCE_REQUEST__INIT;
	Sluice__V1__TestSourceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.source = cli_str(args->items[0]);
	request.instance = cli_str(flags->instance);
	if (!CLI_CALL(cli, test_source, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		show_test(cli, response->test);
	}
	return response->test->failure == FINE ? CLI_DONE : CLI_REFUSED;
}

const struct cli_command cli_cmd_source_test = {
    .about = {.name = "source test",
	      .synopsis = "NAME --instance INSTANCE",
	      .summary = "See whether an instance reaches a data source, and its certificate",
	      .description =
		  "The instance's agent resolves the name, connects, and does the TLS handshake "
		  "where the options say so. Nobody logs in. Ends with 2 when the data source is "
		  "not reached, or not as its options want it. The result is kept: `source show`.",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = test_flags,
	      .examples = (const struct sl_example[]){{"sluice source test main --instance shop-1",
						       "From where the app will run."},
						      {NULL, NULL}}},
    .run = test,
    .config_size = sizeof(struct test_flags),
};

/* --- what was found before --- */

static void put_test(struct table *table, const Sluice__V1__SourceSetting *setting)
{
	const Sluice__V1__SourceTest *test = setting->test;
	const Sluice__V1__SourceCertificate *cert = test->certificate;
	char text[TEXT_SIZE];
	bool good = test->failure == FINE, old = test->revision != setting->revision;
	table_put(table, TEXT_STRONG, "%s", setting->environment);
	table_put(table, TEXT_PLAIN, "%s", test->instance);
	table_put(table, TEXT_PLAIN, "%s", text_time(text, test->at));
	table_put(table,
		  old    ? TEXT_FAINT
		  : good ? TEXT_GOOD
			 : TEXT_BAD,
		  "%s%s", verdict(text, test), old ? " (before it was set anew)" : "");
	table_put(table, TEXT_PLAIN, "%s",
		  cert == NULL     ? ""
		  : cert->verified ? "verified"
				   : cert->verify_error);
	table_put(table, TEXT_PLAIN, "%s", cert == NULL ? "" : text_time(text, cert->not_after));
}

int source_show_tests(const struct cli *cli, const Sluice__V1__DataSource *source)
{
	static const char *const headings[] = {"ENVIRONMENT", "FROM",  "AT", "TEST",
					       "CERTIFICATE", "UNTIL", NULL};
	struct table *table = NULL;
	for (size_t i = 0; i < source->n_settings; i++) {
		if (source->settings[i]->test != NULL) {
			table = table != NULL ? table : cli_table(cli, headings);
			put_test(table, source->settings[i]);
		}
	}
	return table != NULL ? cli_end_table(table) : CLI_DONE;
}
