/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stands in for libFuzzer where that is not linked: runs a fuzz target over the files and folders it is given. Options
 * of libFuzzer ("-runs=0") are passed over. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static void
die(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(EXIT_FAILURE);
}

static void
run_file(const char *path)
{
	static uint8_t buffer[1 << 20];
	FILE *file = fopen(path, "re");
	if (!file)
		die(path);
	size_t n = fread(buffer, 1, sizeof(buffer), file);
	if (ferror(file))
		die(path);
	fclose(file);

	/* a block of just this size, so that a read beyond it is seen */
	uint8_t *data = malloc(n ? n : 1);
	CHECK(data);
	memcpy(data, buffer, n);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
}

static unsigned
run_folder(const char *path)
{
	unsigned count = 0;
	DIR *dir = opendir(path);
	if (!dir)
		die(path);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		char name[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		run_file(name);
		count++;
	}
	closedir(dir);
	return count;
}

int
main(int argc, char *argv[])
{
	unsigned count = 0;
	for (int i = 1; i < argc; i++) {
		struct stat st;
		if (argv[i][0] == '-')
			continue;
		if (stat(argv[i], &st) < 0)
			die(argv[i]);
		if (S_ISDIR(st.st_mode)) {
			count += run_folder(argv[i]);
		} else {
			run_file(argv[i]);
			count++;
		}
	}
	printf("%s: %u inputs\n", argv[0], count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
