#!/usr/bin/perl
# A CGI program.
use strict;
use warnings;

my $body = "";
read(STDIN, $body, $ENV{CONTENT_LENGTH}) if $ENV{CONTENT_LENGTH};
my $do = ($ENV{QUERY_STRING} // "") =~ /do=(\w+)/ ? $1 : "";

sub note {
    open(my $log, ">>", "notes") or die;
    syswrite($log, shift);
}

if ($do eq "hang") { note("hang $$\n"); 1 while 1; }
if ($do eq "die") { kill 9, $$; }
print "Content-Type: text/plain\r\n\r\n";
if ($do eq "note") { note("+\n"); select(undef, undef, undef, 0.2); note("-\n"); }
if ($do eq "say") { print STDERR "a line of the program\n"; }
print "$ENV{REQUEST_METHOD} $ENV{REQUEST_URI} ", length($body), " [@ARGV] $ENV{MINE} $ENV{REMOTE_USER} ", $ENV{HTTP_X_ANY} // "", "\n";
