/* Shared by the files of server/admission. */
#ifndef SL_SERVER_ADMISSION_INTERNAL_H
#define SL_SERVER_ADMISSION_INTERNAL_H

#include "server/admission/admission.h"
#include "server/records/identities.h"

struct admission {
	struct admission_options options;
};

/* A certificate and what is kept of it. */
struct certified {
	char *pem; /* owned */
	uint8_t serial[TLS_SERIAL_BYTES];
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	uint64_t not_after_ms;
};
SL_MUST_USE sl_code admission_certify(struct admission *admission,
				      const struct ca_identity *identity, const struct tls_key *key,
				      uint64_t now_ms, struct certified *ret_made,
				      struct sl_err *err);
void certified_fini(struct certified *made);
/* Borrows from `made`. */
struct identity_cert certified_kept(const struct certified *made);

/* --- commands (command.c) ------------------------------------------------------------- */

enum command_kind { COMMAND_ENROLL, COMMAND_LOGIN, COMMAND_RENEW, COMMAND_ALERT };

/* What is to be written; all borrowed until it is done. */
struct command {
	struct store_cmd cmd; /* filled by command_submit() */
	enum command_kind kind;
	uint32_t workspace;    /* of RENEW: found by the identity */
	const char *principal; /* likewise */
	const char *method;
	struct enrolment enrolment;
	struct login login;
	struct renewal renewal;
	struct alert alert;
	struct sl_arena *arena;
	uint64_t now_ms;
	void (*done)(struct command *command); /* writer thread; cmd.code and cmd.err say how */
	/* Results, in the arena. */
	Sluice__Store__V1__InstanceRecord *instance; /* ENROLL */
	const char *workspace_name;
	enum renewal_outcome outcome;
};
SL_MUST_USE sl_code command_submit(struct admission *admission, struct command *command,
				   struct sl_err *err);
/* Waits for it. A renewal that was a copy's is a refusal. */
SL_MUST_USE sl_code command_run(struct admission *admission, struct sl_arena *arena,
				struct command *command, struct sl_err *err);
/* The code of a command that is done: cmd.code, or the refusal of a copy. *err is the command's. */
sl_code command_result(struct command *command, struct sl_err *err);

#endif
