#!/usr/bin/perl
# A FastCGI program on libfcgi-perl.
use strict;
use warnings;
use FCGI;
use Time::HiRes;

my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    my %query = map { my ($k, $v) = split /=/, $_, 2; ($k => $v // "") } split /&/, $ENV{QUERY_STRING} // "";
    my $do = $query{do} // "";
    my $length = $ENV{CONTENT_LENGTH} || 0;
    my $body = "";
    read(STDIN, $body, $length) if $length;
    print "Content-Type: text/plain\r\n\r\n";
    if ($do eq "pid") { print $$; }
    elsif ($do eq "sleep") { Time::HiRes::usleep(1000 * $query{ms}); print "slept\n"; }
    elsif ($do eq "hang") { 1 while 1; }
    elsif ($do eq "say") { print STDERR "a line of the program\n"; print "said\n"; }
    else { print "$ENV{REQUEST_METHOD} $ENV{REQUEST_URI} ", $ENV{SCRIPT_FILENAME} // "", " ", length($body), "\n"; }
}
