# What TestPerl runs. Each part prints one line; the test knows them all.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);

# A hash of 200,000 keys, grown, half deleted and grown again.
my %h;
$h{"key$_"} = $_ for 1 .. 200_000;
delete $h{"key$_"} for grep { $_ % 2 } 1 .. 200_000;
$h{"new$_"} = "v" x ($_ % 50) for 1 .. 50_000;
my ($sum, $len) = (0, 0);
while (my ($k, $v) = each %h) { $k =~ /^key/ ? ($sum += $v) : ($len += length $v) }
printf "hash %d %d %d\n", scalar keys %h, $sum, $len;

# Nested data, shared references, and a cycle taken apart.
my @tree = map { { id => $_, kids => [map { "k$_" } 1 .. $_ % 7], s => sprintf("%08.3f|%-10s|%x", $_ / 7, $_, $_) } } 1 .. 20_000;
my $cycle = { next => undef };
$cycle->{next} = { back => $cycle };
$cycle->{next}{back} = undef;
printf "nested %d %s\n", scalar(map { @{ $_->{kids} } } @tree), $tree[6]{s};

# Regexes over a text of some megabytes.
my $text = join " ", map { "user$_\@host" . ($_ % 100) . ".example" } 1 .. 100_000;
my $n = () = $text =~ /\buser\d+\@host42\.example\b/g;
(my $copy = $text) =~ s/(\w+)\@(\w+)/$2 at $1/g;
my %hosts;
$hosts{$1}++ while $copy =~ /(host\d+) at/g;
printf "regex %d %d %d %d\n", $n, scalar keys %hosts, $hosts{host7}, length $copy;

# Strings that grow by little and lists that are sorted.
my $s = "";
$s .= chr(65 + $_ % 26) x ($_ % 5) for 1 .. 300_000;
my @sorted = sort { $a cmp $b } map { sha256_hex($_) } 1 .. 20_000;
printf "string %d %s\n", length $s, sha256_hex($s);
printf "sort %d %s\n", scalar @sorted, sha256_hex(join ",", @sorted);

# Fork: each child builds its own hash over memory shared with the parent, and reports by a pipe.
my $total = 0;
for my $round (1 .. 20) {
	pipe(my $r, my $w) or die;
	my $pid = fork // die;
	if (!$pid) {
		close $r;
		delete $h{"key$_"} for 1 .. 20_000;
		my %own = map { $_ => "x" x $_ } 1 .. 1000;
		print $w scalar(keys %h) + scalar(keys %own), "\n";
		close $w;
		exit 0;
	}
	close $w;
	$total += <$r>;
	waitpid $pid, 0;
	die "child: $?" if $?;
}
printf "fork %d %d\n", $total, scalar keys %h;

# eval and die through deep frames; local sockets' worth of closures.
sub deep { my ($n, @rest) = @_; $n ? deep($n - 1, @rest, "a$n") : die { depth => scalar @rest } }
my $deep = 0;
for (1 .. 50) { eval { deep(80) }; $deep += $@->{depth} }
my @closures = map { my $i = $_; sub { $i++ } } 1 .. 50_000;
my $c = 0;
$c += $_->() + $_->() for @closures;
printf "eval %d closures %d\n", $deep, $c;
