package programs

import (
	"os"
	"testing"
	"time"
)

// perlOutput is what testdata/perl/script.pl prints.
const perlOutput = `hash 150000 10000100000 1225000
nested 59998 0001.000|7         |7
regex 1000 100 1000 2778894
string 600000 3dbf61d931dba7251a8fa3ea31c54f017506c80bf5fca7a7031d3432c5119701
sort 20000 4a9cbef1000f5562596dac3c066d09907adfb3697bf9810dd62517792fc533d2
fork 2820000 150000
eval 4000 closures 2500100000
`

func TestPerl(t *testing.T) {
	perl := need(t, "perl", "perl")
	requireBound(t, perl, "-e", "use Digest::SHA")
	equal(t, "perl's output", execute(t, program{argv: []string{perl, source(t, "perl/script.pl")}}), perlOutput)
}

// sqliteOutput is what testdata/sqlite/script.sql prints after the pragmas' answers.
const sqliteOutput = `rows|1000000|500000500000|name-0000001|name-1000000|14491000
groups|1000|1000000|500000500000
lookup|1000
window|19980000|19980
changed|50000
rolled back|0
deleted|900000|100000
concat|12999
json|1000|99003
sorted|name-0005000
ok
`

func TestSqlite(t *testing.T) {
	sqlite := need(t, "sqlite3", "sqlite3")
	requireBound(t, sqlite, "--version")
	script, err := os.Open(source(t, "sqlite/script.sql"))
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	got := execute(t, program{argv: []string{sqlite, "test.db"}, stdin: script, timeout: 2 * time.Minute})
	equal(t, "sqlite's output", got, "wal\n4\n"+sqliteOutput)
}

// gitOutput is what testdata/git/script.sh prints: object names that follow from the content alone.
const gitOutput = `head 84e4de8d724f63d639ed0b3862a74b593c0607d7 commits 241
0
clone 84e4de8d724f63d639ed0b3862a74b593c0607d7 tree 0d0319f7264e28ecfc9b9d1e3335ae234137b3eb files 94
2507
81a14404e9a81071a7ad4b329c418d36ed98a111200447f8eeb1dc7a591e3b1c  -
d67706e3c5ed310522bc1713bf337127055cf54e011d723af075c3cf69eab8fc  -
3d625d7bb134d5999ae9fa17f3ac008824af45e91f91a41ddfb69a1fc944a6e0  -
920c284c33dd9621510baf51a7e8b4b5cce3304fb03a629f0d8c3860efa16457  -
84e4de8d724f63d639ed0b3862a74b593c0607d7
39
`

func TestGit(t *testing.T) {
	git := need(t, "git", "git")
	requireBound(t, git, "--version")
	got := execute(t, program{argv: []string{"/bin/sh", source(t, "git/script.sh")}, timeout: 2 * time.Minute})
	equal(t, "git's output", got, gitOutput)
}

// nodeOutput is what testdata/node/script.js prints.
const nodeOutput = `json 5856570 cc4aecc9fffe983d cc4aecc9fffe983d
buffers 2546416 19990000 ebef831a80fed78c true
zlib 1982932 b05c078171127590 13
workers 1199940000 9437184 e38f7e356c0587e1
http 86760390
`

func TestNode(t *testing.T) {
	node := need(t, "node", "nodejs")
	requireBound(t, node, "--version")
	got := execute(t, program{argv: []string{node, source(t, "node/script.js")}, timeout: 2 * time.Minute})
	equal(t, "node's output", got, nodeOutput)
}
