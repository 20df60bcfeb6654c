/* The mirror of mirror.py, for libfcgi: one process, one connection at a time. */
#include <fcgi_stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>

extern char **environ;

/* SHA-256, FIPS 180-4. */
static uint32_t k[64], h[8];
static uint8_t block[64];
static uint64_t total;

static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t fraction(int prime, int cube) {
	/* The first 32 bits of the fraction of a root, by bisection. */
	uint64_t lo = 0, hi = 1ull << 36;
	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		__uint128_t power = (__uint128_t)mid * mid;
		int more = cube ? power * mid > (__uint128_t)prime << 96 : power > (__uint128_t)prime << 64;
		if (more) hi = mid; else lo = mid;
	}
	return (uint32_t)lo;
}

static void reset(void) {
	int n = 0;
	for (int p = 2; n < 64; p++) {
		int prime = 1;
		for (int d = 2; d * d <= p; d++) if (p % d == 0) prime = 0;
		if (!prime) continue;
		k[n] = fraction(p, 1);
		if (n < 8) h[n] = fraction(p, 0);
		n++;
	}
	total = 0;
}

static void compress(void) {
	uint32_t w[64], s[8];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4*i] << 24 | block[4*i+1] << 16 | block[4*i+2] << 8 | block[4*i+3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i-16] + (ror(w[i-15], 7) ^ ror(w[i-15], 18) ^ w[i-15] >> 3) + w[i-7] + (ror(w[i-2], 17) ^ ror(w[i-2], 19) ^ w[i-2] >> 10);
	memcpy(s, h, sizeof s);
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
		uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof *s);
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++) h[i] += s[i];
}

static void update(const unsigned char *b, size_t n) {
	while (n--) {
		block[total++ % 64] = *b++;
		if (total % 64 == 0) compress();
	}
}

static void digest(void) {
	uint64_t bits = total * 8;
	update((const unsigned char *)"\x80", 1);
	while (total % 64 != 56) update((const unsigned char *)"", 1);
	for (int i = 56; i >= 0; i -= 8) {
		unsigned char c = (unsigned char)(bits >> i);
		update(&c, 1);
	}
	for (int i = 0; i < 8; i++) printf("%08x", h[i]);
}

/* query finds a value of the query and decodes it. */
static const char *query(const char *name) {
	static char value[8192];
	const char *q = getenv("QUERY_STRING");
	size_t n = strlen(name);
	while (q && *q) {
		if (!strncmp(q, name, n) && q[n] == '=') {
			char *v = value;
			for (q += n + 1; *q && *q != '&' && v < value + sizeof value - 1; q++) {
				unsigned c = (unsigned char)*q;
				if (c == '%' && sscanf(q + 1, "%2x", &c) == 1) q += 2;
				*v++ = (char)c;
			}
			*v = 0;
			return value;
		}
		q = strchr(q, '&');
		if (q) q++;
	}
	return NULL;
}

static void json(const char *s, size_t n) {
	putchar('"');
	for (; n--; s++) {
		unsigned c = (unsigned char)*s;
		if (c < 32 || c > 126 || c == '"' || c == '\\') printf("\\u%04x", c);
		else putchar((int)c);
	}
	putchar('"');
}

static void mirror(void) {
	static unsigned char buffer[65536];
	size_t n, length = 0;
	reset();
	while ((n = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
		update(buffer, n);
		length += n;
	}
	printf("Content-Type: application/json\r\n\r\n{\"environ\": {");
	for (char **e = environ; *e; e++) {
		char *eq = strchr(*e, '=');
		if (e != environ) printf(", ");
		json(*e, (size_t)(eq - *e));
		printf(": ");
		json(eq + 1, strlen(eq + 1));
	}
	printf("}, \"length\": %lu, \"sha256\": \"", (unsigned long)length);
	digest();
	printf("\"}");
}

static void pattern(long size) {
	for (long n = 0; size > 0; n = (n + 1) % 8192, size -= 8) printf("%07ld\n", n);
}

int main(void) {
	signal(SIGPIPE, SIG_IGN);
	while (FCGI_Accept() >= 0) {
		const char *asked = query("do");
		char what[32] = "";
		if (asked) strncpy(what, asked, sizeof what - 1);
		if (!strcmp(what, "status")) {
			int code = atoi(query("code"));
			printf("Status: %d Said So\r\n", code);
			if (code == 204 || code == 304) printf("\r\n");
			else printf("Content-Type: text/plain\r\n\r\nstatus\n");
		} else if (!strcmp(what, "redirect")) {
			printf("Status: 302 Found\r\nLocation: %s\r\n\r\n", query("to"));
		} else if (!strcmp(what, "big")) {
			long size = atol(query("size"));
			printf("Content-Type: application/octet-stream\r\n");
			if (query("length")) printf("Content-Length: %ld\r\n", size);
			printf("\r\n");
			pattern(size);
		} else if (!strcmp(what, "headers")) {
			printf("Content-Type: text/plain\r\n");
			for (int i = 0; i < 100; i++) printf("X-H%d: v%d\r\n", i, i);
			printf("\r\n");
		} else if (!strcmp(what, "stream")) {
			int c;
			printf("Content-Type: text/event-stream\r\n\r\none\n");
			fflush(stdout);
			FCGI_FILE *gate = fopen(query("gate"), "r");
			while ((c = fgetc(gate)) != EOF) putchar(c);
			fclose(gate);
		} else if (!strcmp(what, "endless")) {
			static char x[65536];
			memset(x, 'x', sizeof x);
			printf("Content-Type: application/octet-stream\r\n\r\n");
			while (fwrite(x, 1, sizeof x, stdout) == sizeof x && fflush(stdout) == 0) ;
			FCGI_FILE *file = fopen(query("file"), "w");
			fprintf(file, "closed");
			fclose(file);
		} else if (!strcmp(what, "stderr")) {
			fprintf(stderr, "a word for the log\n");
			printf("Content-Type: text/plain\r\n\r\n");
		} else {
			mirror();
		}
	}
	return 0;
}
