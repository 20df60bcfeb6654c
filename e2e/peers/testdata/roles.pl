# An authorizer and a filter, for Perl's FCGI.
use strict;
use warnings;
use FCGI;
use IO::Handle;

my (%env, $in, $out);
my ($stdin, $stdout, $stderr) = (IO::Handle->new, IO::Handle->new, IO::Handle->new);
my $request = FCGI::Request($stdin, $stdout, $stderr, \%env);

while ($request->Accept >= 0) {
	my $role = $env{FCGI_ROLE} // "";
	if ($role eq "AUTHORIZER" && ($env{HTTP_X_WORD} // "") eq "sesame") {
		print $stdout "Status: 200 OK\r\nVariable-REMOTE_USER: ali\r\nVariable-CAVE: $env{REQUEST_METHOD} $env{REQUEST_URI} " . ($env{PATH_INFO} // "-") . "\r\n\r\n";
	} elsif ($role eq "AUTHORIZER") {
		print $stdout "Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nthe cave stays shut\n";
	} elsif ($role eq "FILTER") {
		1 while read($stdin, my $rest, 4096);
		$request->StartFilterData;
		print $stdout "Content-Type: text/plain\r\nX-Length: $env{FCGI_DATA_LENGTH}\r\nX-Modified: $env{FCGI_DATA_LAST_MOD}\r\n\r\n";
		while (read($stdin, my $data, 4096)) {
			print $stdout uc $data;
		}
	} else {
		print $stdout "Status: 500 Internal Server Error\r\n\r\nin role $role\n";
	}
}
