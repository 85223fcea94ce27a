/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs commands and times them, as lean as a launcher can be (vfork and exec, no shell), so that programs that are
 * compared pay for themselves alone.
 *
 *   spawn < SCRIPT        prints {"operations":[ns,...]}: one for each group
 *
 * SCRIPT: one command a line, words divided by blanks; an empty line ends a group, whose commands are timed together.
 * "NAME=VALUE" before the command sets a variable, "<FILE" as its last word is its standard input. Standard output is
 * dropped. A command that fails ends it all.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "samples.h"

#define MAX_WORDS 48

extern char **environ;

struct command {
	char *argv[MAX_WORDS], *environment[MAX_WORDS];
	const char *input;
};

/* Cuts `line` into words; it must outlive the command. */
static bool
parse_command(char *line, struct command *c)
{
	unsigned words = 0, variables = 0;
	char *save = NULL;

	*c = (struct command){ .input = "/dev/null" };
	for (char **v = environ; *v && variables < MAX_WORDS / 2; v++)
		c->environment[variables++] = *v;
	for (char *w = strtok_r(line, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		if (words == MAX_WORDS - 1 || variables == MAX_WORDS - 1)
			die(0, "too many words");
		if (*w == '<')
			c->input = w + 1;
		else if (words == 0 && strchr(w, '='))
			c->environment[variables++] = w;
		else
			c->argv[words++] = w;
	}
	return words > 0;
}

static uint64_t
run_command(const struct command *c)
{
	posix_spawn_file_actions_t actions;
	uint64_t start = now_ns();
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, c->input, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	int r = posix_spawnp(&pid, c->argv[0], &actions, NULL, c->argv, c->environment);
	if (r != 0)
		die(r, "%s", c->argv[0]);
	if (waitpid(pid, &status, 0) < 0)
		die(errno, "%s", c->argv[0]);
	uint64_t elapsed = now_ns() - start;
	if (status != 0)
		die(0, "%s %s failed with wait status 0x%x", c->argv[0], c->argv[1] ? c->argv[1] : "",
		    (unsigned)status);
	posix_spawn_file_actions_destroy(&actions);
	return elapsed;
}

int
main(void)
{
	struct samples s = { 0 };
	struct command c;
	uint64_t group = 0;
	char line[2048];

	while (fgets(line, sizeof(line), stdin)) {
		if (parse_command(line, &c)) {
			group += run_command(&c);
		} else if (group > 0) {
			samples_add(&s, group);
			group = 0;
		}
	}
	if (group > 0)
		samples_add(&s, group);
	printf("{");
	samples_print("operations", &s);
	printf("}\n");
	samples_done(&s);
	return EXIT_SUCCESS;
}
