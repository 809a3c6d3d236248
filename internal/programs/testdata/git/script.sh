# What TestGit runs: a history of 240 commits on two branches, 40 of them made by git add and git commit,
# the rest by fast-import, then everything that reads and rewrites it all. Names and dates are fixed, so
# every object has a known name.
set -eu
cd "$HOME"
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.com
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'

git init -q -b main repo
{
	for c in $(seq 200); do
		echo "commit refs/heads/main"
		echo "committer C <c@example.com> $((1600000000 + c * 1000)) +0000"
		printf 'data <<E\ncommit %d\nE\n\n' "$c"
		for f in 0 1 2 3 4; do
			n=$(((c * 5 + f) % 83))
			echo "M 100644 inline dir$((n % 9))/file$n.txt"
			printf 'data <<E\n'
			seq "$c" $((c + 200 + n))
			printf 'E\n\n'
		done
	done
} | git -C repo fast-import --quiet
cd repo
git checkout -q main

git checkout -q -b side HEAD~50
for c in $(seq 40); do
	seq $((c * 7)) $((c * 9 + 300)) > "side$((c % 11))"
	git add -A
	git commit -q -m "side $c"
done
git checkout -q main
git merge -q -m merged side
echo "head $(git rev-parse HEAD) commits $(git rev-list --count HEAD)"
git status --porcelain | wc -l

cd ..
git clone -q --no-local repo copy
git clone -q --no-local --bare --depth 20 "file://$HOME/repo" shallow.git
cd copy
echo "clone $(git rev-parse HEAD) tree $(git rev-parse 'HEAD^{tree}') files $(git ls-files | wc -l)"
git repack -adfq --window=50 --threads=2
git fsck --full --strict --no-progress
git gc -q --aggressive --prune=now
git fsck --full --strict --no-progress
git verify-pack -v .git/objects/pack/*.idx | grep -cE '^[0-9a-f]{40} '
git log -p --stat | sha256sum
git blame --line-porcelain dir0/file9.txt | sha256sum
git grep -c --threads 4 '^1..$' HEAD -- 'dir*' | sha256sum
git archive HEAD | tar -tf - | sha256sum
git bundle create -q ../all.bundle --all
git clone -q ../all.bundle ../unbundled
git -C ../unbundled rev-parse HEAD
git -C ../shallow.git fsck --full --no-progress
git -C ../shallow.git rev-list --count HEAD
