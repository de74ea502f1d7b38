/* Calls one model row by row: NAME FORM ROWS FEATURES CLASSES ROUNDS. The model is the C of m2cgen (-DM2CGEN) or tl2cgen
   (-DTL2CGEN), or the function -DOURS=FUNCTION of ours. Prints a line for each round: NAME, FORM, ns per row, the sum of the
   places of the classes that it decided for. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_CLASSES = 8 };

static int place_of_largest(const double *scores, int classes) {
    int best = 0;
    for (int place = 1; place < classes; place++)
        if (scores[place] > scores[best]) best = place;
    return best;
}

#if defined(OURS)
size_t OURS(const float *features);
typedef float value;
static value of(float number) { return number; }
static size_t decide(value *row, int classes) { (void)classes; return OURS(row); }
#elif defined(TL2CGEN)
union Entry { int missing; double fvalue; int qvalue; };
void predict(union Entry *data, int pred_margin, double *result);
typedef union Entry value;
static value of(float number) { value entry; entry.fvalue = number; return entry; }
static size_t decide(value *row, int classes) {
    double scores[MOST_CLASSES] = {0};
    predict(row, 0, scores);
    return place_of_largest(scores, classes);
}
#else
void score(double *input, double *output);
typedef double value;
static value of(float number) { return number; }
static size_t decide(value *row, int classes) {
    double scores[MOST_CLASSES];
    score(row, scores);
    return place_of_largest(scores, classes);
}
#endif

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int count, char **words) {
    if (count != 7) return 2;
    size_t features = strtoul(words[4], NULL, 10);
    int classes = atoi(words[5]), rounds = atoi(words[6]);
    FILE *file = fopen(words[3], "rb");
    if (!file || classes > MOST_CLASSES || fseek(file, 0, SEEK_END)) return 1;
    size_t numbers = ftell(file) / sizeof(float), rows = numbers / features;
    rewind(file);
    float *read = malloc(numbers * sizeof *read);
    value *values = malloc(numbers * sizeof *values);
    if (!read || !values || fread(read, sizeof *read, numbers, file) != numbers) return 1;
    for (size_t at = 0; at < numbers; at++) values[at] = of(read[at]);
    for (int round = 0; round < rounds; round++) {
        uint64_t sum = 0;
        double begin = now_ns();
        for (size_t row = 0; row < rows; row++) sum += decide(values + row * features, classes);
        printf("%s %s %f %llu\n", words[1], words[2], (now_ns() - begin) / rows, (unsigned long long)sum);
    }
    return 0;
}
