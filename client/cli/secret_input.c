#include "client/cli/secret_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/mem/own.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};

/* The signal that came while somebody typed; 0: none. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static sl_code refuse(struct sl_err *err, const char *path, const char *why)
{
	return sl_err_set(err, SL_INVALID_ARGUMENT, "%s: %s", path, why);
}

/* With `typed`, a mask: waits for input and for signals at once, so that none comes in between. */
static ssize_t read_some(int fd, const sigset_t *typed, char *out, size_t room)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};
	while (typed != NULL && interrupted == 0 && ppoll(&input, 1, NULL, typed) < 0) {
		if (errno != EINTR) {
			return -1;
		}
	}
	errno = EINTR;
	return interrupted != 0 ? -1 : read(fd, out, room);
}

/* Up to the end, or what is typed up to the end of the line. */
static sl_code read_text(int fd, const sigset_t *typed, const char *path, char *text,
			 struct sl_err *err)
{
	size_t size = 0;
	for (;;) {
		ssize_t got = read_some(fd, typed, text + size, SECRET_INPUT_MAX - size);
		if (got < 0 && errno == EINTR && interrupted == 0) {
			continue;
		}
		if (got < 0) {
			return refuse(err, path, strerror(errno));
		}
		size += (size_t)got;
		if (got == 0 || (typed != NULL && memchr(text, '\n', size) != NULL)) {
			text[size] = '\0';
			return strlen(text) == size ? SL_OK : refuse(err, path, "holds a NUL byte");
		}
		if (size == SECRET_INPUT_MAX) {
			return refuse(err, path, "has more than 64 KiB");
		}
	}
}

static void cut_space(char *text)
{
	static const char space[] = " \t\r\n";
	size_t begin = strspn(text, space);
	size_t end = strlen(text);
	while (end > begin && strchr(space, text[end - 1]) != NULL) {
		end--;
	}
	memmove(text, text + begin, end - begin);
	text[end - begin] = '\0';
}

static void cut_line_end(char *text)
{
	size_t size = strlen(text);
	size -= size > 0 && text[size - 1] == '\n';
	size -= size > 0 && text[size] == '\n' && text[size - 1] == '\r';
	text[size] = '\0';
}

/* The terminal is as before when this returns, also after Ctrl-C. */
static sl_code read_typed(const char *prompt, char *text, struct sl_err *err)
{
	struct termios before;
	struct sigaction old[SL_COUNT(caught)];
	sigset_t held, mask;
	const struct sigaction action = {.sa_handler = on_signal};
	if (tcgetattr(STDIN_FILENO, &before) != 0) {
		return refuse(err, "the terminal", strerror(errno));
	}
	struct termios silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	interrupted = 0;
	(void)sigemptyset(&held);
	for (size_t i = 0; i < SL_COUNT(caught); i++) {
		(void)sigaddset(&held, caught[i]);
		(void)sigaction(caught[i], &action, &old[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &held, &mask);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	(void)fprintf(stderr, "%s (not shown): ", prompt);
	sl_code code = read_text(STDIN_FILENO, &mask, "the terminal", text, err);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)fputc('\n', stderr);
	for (size_t i = 0; i < SL_COUNT(caught); i++) {
		(void)sigaction(caught[i], &old[i], NULL);
	}
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (interrupted != 0) {
		(void)raise(interrupted);
		return sl_err_set(err, SL_CANCELLED, "interrupted");
	}
	return code;
}

static sl_code read_file(const char *path, char *text, struct sl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return refuse(err, path, strerror(errno));
	}
	sl_code code = read_text(fd, NULL, path, text, err);
	(void)close(fd);
	return code;
}

static sl_code read_input(const char *path, const char *prompt, char **ret_text, struct sl_err *err)
{
	bool standard = path == NULL || path[0] == '\0' || strcmp(path, "-") == 0;
	SL_AUTO(sl_secret_text_auto)
	char *text = sl_crypto_init() ? sl_secret_new(SECRET_INPUT_MAX + 1) : NULL;
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code;
	if (!standard) {
		code = read_file(path, text, err);
	} else if (isatty(STDIN_FILENO)) {
		code = read_typed(prompt, text, err);
	} else {
		code = read_text(STDIN_FILENO, NULL, "standard input", text, err);
	}
	if (code == SL_OK) {
		*ret_text = SL_TAKE(text);
	}
	return code;
}

sl_code secret_input(const char *path, const char *prompt, char **ret_text, struct sl_err *err)
{
	sl_code code = read_input(path, prompt, ret_text, err);
	if (code == SL_OK) {
		cut_space(*ret_text);
	}
	return code;
}

sl_code secret_input_value(const char *path, const char *prompt, char **ret_text,
			   struct sl_err *err)
{
	sl_code code = read_input(path, prompt, ret_text, err);
	if (code == SL_OK) {
		cut_line_end(*ret_text);
	}
	return code;
}
