/* SPDX-License-Identifier: MIT */
/*
 * Bandwidth of mappings, by turns, with the same copy loop:
 *
 *     copy ROUNDS SIZE CHUNK FILE...
 *
 * maps SIZE bytes of each FILE and writes, then reads all of it, CHUNK bytes at a time. Prints a
 * line for each round: "write" or "read", and the MiB/s of each file in order.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 4
#define MIB (1024.0 * 1024.0)
/* So many passes over a mapping make one measurement */
#define PASSES 16

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static double measure(char *mapping, char *buffer, size_t size, size_t chunk,
                      int reading)
{
    double begun = seconds();

    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t at = 0; at + chunk <= size; at += chunk) {
            if (reading) {
                memcpy(buffer, mapping + at, chunk);
            } else {
                memcpy(mapping + at, buffer, chunk);
            }
        }
    }
    return PASSES * (size / MIB) / (seconds() - begun);
}

int main(int argc, char **argv)
{
    int rounds = argc > 4 ? atoi(argv[1]) : 0;
    size_t size = argc > 4 ? strtoul(argv[2], NULL, 0) : 0;
    size_t chunk = argc > 4 ? strtoul(argv[3], NULL, 0) : 0;
    int files = argc - 4;
    char *mapping[MOST_FILES], *buffer;

    if (rounds < 1 || !size || !chunk || files < 1 || files > MOST_FILES) {
        fprintf(stderr, "usage: copy ROUNDS SIZE CHUNK FILE...\n");
        return 2;
    }
    buffer = malloc(chunk);
    if (!buffer) {
        return 1;
    }
    memset(buffer, 0x5a, chunk);
    for (int i = 0; i < files; i++) {
        int fd = open(argv[4 + i], O_RDWR);

        mapping[i] = fd < 0 ? MAP_FAILED
                            : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapping[i] == MAP_FAILED) {
            perror(argv[4 + i]);
            return 1;
        }
    }
    for (int round = 0; round < rounds; round++) {
        for (int reading = 0; reading < 2; reading++) {
            double rate[MOST_FILES];

            /* Who comes first changes, so that neither profits from it */
            for (int n = 0; n < files; n++) {
                int i = round & 1 ? files - 1 - n : n;

                rate[i] = measure(mapping[i], buffer, size, chunk, reading);
            }
            printf(reading ? "read" : "write");
            for (int i = 0; i < files; i++) {
                printf(" %.2f", rate[i]);
            }
            printf("\n");
        }
    }
    return 0;
}
