/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target without libFuzzer: every file of the folder named on the
 * command line, and mutations of each from a fixed seed, so that a run in the
 * test suite repeats. SLUICE_FUZZ_ROUNDS sets how many mutations a file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

/* Exactly sized copies, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void mutate(const uint8_t *data, size_t size, unsigned rounds)
{
	uint8_t *copy = malloc(size + 1);

	for (unsigned i = 0; i < rounds; i++) {
		size_t n = size;

		memcpy(copy, data, size);
		for (unsigned k = next() % 6 + 1; n && k; k--) {
			size_t at = next() % n;

			switch (next() % 4) {
			case 0:
				copy[at] = (uint8_t)next();
				break;
			case 1:
				copy[at] ^= (uint8_t)(1u << next() % 8);
				break;
			case 2:
				copy[at] = next() % 2 ? 0xff : 0;
				break;
			default:
				n = at;
				break;
			}
		}
		run(copy, n);
	}
	free(copy);
}

int main(int argc, char **argv)
{
	const char *rounds = getenv("SLUICE_FUZZ_ROUNDS");
	unsigned n = rounds ? (unsigned)atoi(rounds) : 2000, files = 0;
	struct dirent *e;
	DIR *d;

	if (argc != 2 || !(d = opendir(argv[1]))) {
		fprintf(stderr, "usage: %s FOLDER-OF-SEEDS\n", argv[0]);
		return 2;
	}
	while ((e = readdir(d))) {
		static uint8_t data[1 << 17];
		char path[4096];
		size_t size;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		f = fopen(path, "rb");
		if (!f)
			continue;
		size = fread(data, 1, sizeof(data), f);
		fclose(f);
		run(data, size);
		mutate(data, size, n);
		files++;
	}
	closedir(d);
	printf("%u seeds, %u mutations each\n", files, n);
	return files ? 0 : 1;
}
