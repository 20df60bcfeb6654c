#!/usr/bin/perl
# The mirror of mirror.py, for Perl's FCGI: one process, one connection at a time.
use strict;
use warnings;
use FCGI;
use Digest::SHA qw(sha256_hex);
use JSON::PP;

my $json = JSON::PP->new->ascii->canonical;
my ($in, $out, $err) = (\*STDIN, \*STDOUT, \*STDERR);
my %environ;
my $request = FCGI::Request($in, $out, $err, \%environ, 0, FCGI::FAIL_ACCEPT_ON_INTR());
$SIG{PIPE} = 'IGNORE';

while ($request->Accept() >= 0) {
    my %query;
    for (split /&/, $environ{QUERY_STRING} // '') {
        my ($name, $value) = split /=/, $_, 2;
        ($value //= '') =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
        $query{$name} = $value;
    }
    my $do = $query{do} // '';
    if ($do eq 'status') {
        print "Status: $query{code} Said So\r\n";
        if ($query{code} == 204 || $query{code} == 304) { print "\r\n" }
        else                                            { print "Content-Type: text/plain\r\n\r\nstatus\n" }
    } elsif ($do eq 'redirect') {
        print "Status: 302 Found\r\nLocation: $query{to}\r\n\r\n";
    } elsif ($do eq 'big') {
        print "Content-Type: application/octet-stream\r\n";
        print "Content-Length: $query{size}\r\n" if exists $query{length};
        print "\r\n";
        my $line = join '', map { sprintf "%07d\n", $_ } 0 .. 8191;
        for (my $left = $query{size}; $left > 0; $left -= length $line) {
            print substr($line, 0, $left);
        }
    } elsif ($do eq 'headers') {
        print "Content-Type: text/plain\r\n", (map { "X-H$_: v$_\r\n" } 0 .. 99), "\r\n";
    } elsif ($do eq 'stream') {
        print "Content-Type: text/event-stream\r\n\r\none\n";
        $request->Flush();
        open my $gate, '<', $query{gate} or die $!;
        print while <$gate>;
    } elsif ($do eq 'endless') {
        print "Content-Type: application/octet-stream\r\n\r\n";
        1 while print 'x' x 65536;
        open my $file, '>', $query{file} or die $!;
        print $file 'closed';
    } elsif ($do eq 'stderr') {
        print STDERR "a word for the log\n";
        print "Content-Type: text/plain\r\n\r\n";
    } else {
        my $body = '';
        1 while read STDIN, $body, 65536, length $body;
        print "Content-Type: application/json\r\n\r\n";
        print $json->encode({ environ => {%environ}, length => length $body, sha256 => sha256_hex($body) });
    }
}
