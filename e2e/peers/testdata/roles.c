/* An authorizer and a filter, for libfcgi: one process, one connection at a time. */
#include <fcgi_stdio.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *value(const char *name) {
	const char *v = getenv(name);
	return v ? v : "-";
}

static void authorize(void) {
	if (strcmp(value("HTTP_X_WORD"), "sesame")) {
		printf("Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nthe cave stays shut\n");
		return;
	}
	printf("Variable-REMOTE_USER: ali\r\nVariable-CAVE: %s %s %s\r\n\r\n", value("REQUEST_METHOD"), value("REQUEST_URI"), value("PATH_INFO"));
}

static void filter(void) {
	/* The request's body comes first, and must be read to its end. */
	while (getchar() != EOF);
	if (FCGI_StartFilterData() < 0) {
		printf("Status: 500 Internal Server Error\r\n\r\n");
		return;
	}
	printf("Content-Type: text/plain\r\nX-Length: %s\r\nX-Modified: %s\r\n\r\n", value("FCGI_DATA_LENGTH"), value("FCGI_DATA_LAST_MOD"));
	for (int c; (c = getchar()) != EOF;) putchar(toupper(c));
}

int main(void) {
	while (FCGI_Accept() >= 0) {
		const char *role = value("FCGI_ROLE");
		if (!strcmp(role, "AUTHORIZER")) authorize();
		else if (!strcmp(role, "FILTER")) filter();
		else printf("Status: 500 Internal Server Error\r\n\r\nin role %s\n", role);
	}
	return 0;
}
