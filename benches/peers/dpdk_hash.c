/* SPDX-License-Identifier: Apache-2.0 */
/* DPDK's rte_hash as a flow table: `dpdk-hash KEYS` prints the median time of a look-up in nanoseconds. Keys are an IPv4
 * tuple in 16 bytes; look-ups come in bulks of 64, drawn at random; hugepages are not needed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#define BULK 64
#define RING 2048
#define ROUNDS 301

struct tuple {
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint32_t protocol;
};

static uint64_t state = 3;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	char *eal[] = {argv[0], "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "1024",
		       "-l", "1", "--log-level=error"};
	unsigned int keys = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	static struct tuple drawn[RING];
	static double times[ROUNDS];
	struct tuple *tuples;
	struct rte_hash *hash;

	if (!keys || rte_eal_init(sizeof(eal) / sizeof(*eal), eal) < 0) {
		fprintf(stderr, "DPDK's environment does not start\n");
		return 1;
	}
	struct rte_hash_parameters parameters = {
		.name = "flows", .entries = keys + keys / 8 + 64, .key_len = sizeof(struct tuple), .hash_func = rte_hash_crc};
	hash = rte_hash_create(&parameters);
	tuples = calloc(keys, sizeof(*tuples));
	if (!hash || !tuples) {
		fprintf(stderr, "no memory for %u keys\n", keys);
		return 1;
	}
	for (unsigned int i = 0; i < keys; i++) {
		tuples[i] = (struct tuple){draw(), 0x0a640001 + i % 100, draw(), 53, 17};
		if (rte_hash_add_key(hash, &tuples[i]) < 0) {
			fprintf(stderr, "the table is full at %u of %u\n", i, keys);
			return 1;
		}
	}
	for (int round = 0; round < ROUNDS; round++) {
		double began;

		for (int i = 0; i < RING; i++)
			drawn[i] = tuples[draw() % keys];
		began = now();
		for (int i = 0; i < RING; i += BULK) {
			const void *at[BULK];
			int32_t found[BULK];

			for (int j = 0; j < BULK; j++)
				at[j] = &drawn[i + j];
			if (rte_hash_lookup_bulk(hash, at, BULK, found) || found[0] < 0) {
				fprintf(stderr, "a key is not found\n");
				return 1;
			}
		}
		times[round] = (now() - began) / RING;
	}
	qsort(times, ROUNDS, sizeof(*times), compare);
	printf("%.2f\n", times[ROUNDS / 2]);
	return 0;
}
