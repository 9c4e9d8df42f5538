# SPDX-License-Identifier: GPL-2.0-or-later
#
# prove's harness, which also adds what it counted to the file $VGPU_TEST_TOTALS, so that
# scripts/check.sh can sum up over all suites. .proverc selects it.
package VgpuHarness;

use strict;
use warnings;
use parent 'TAP::Harness';

sub runtests {
	my ($self, @tests) = @_;
	my $agg = $self->SUPER::runtests(@tests);
	my $file = $ENV{VGPU_TEST_TOTALS};

	if (defined $file && length $file) {
		# A program that died, timed out or broke its plan is a failure of its own,
		# even where each test it got to print was ok.
		my $broken = 0;
		for my $p ($agg->parsers($agg->descriptions)) {
			next if $p->failed;
			$broken++ if $p->exit || $p->parse_errors;
			$broken++ if !$p->tests_run && !$p->skip_all && !$p->exit && !$p->parse_errors;
		}
		my $skipped = $agg->skipped + scalar grep { $_->skip_all } $agg->parsers($agg->descriptions);
		open my $out, '>>', $file or die "$file: $!\n";
		printf $out "%d %d %d\n", $agg->passed - $agg->skipped, $agg->failed + $broken, $skipped;
		close $out or die "$file: $!\n";
	}
	return $agg;
}

1;
