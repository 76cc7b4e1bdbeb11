// A second opinion on a static tile tree, by Go's own sumdb/note and sumdb/tlog.
//
//	verifier -dir DIR -log VKEY [-cosigner VKEY]... [-seen NOTE] [-proofs FILE]
//
// Checks the checkpoint's signatures, the root from the tiles, every entry of every bundle,
// inclusion and consistency. Prints "ok SIZE" or the first thing that does not hold.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
)

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var cosigners list
	dir := flag.String("dir", "", "folder of the tree")
	log := flag.String("log", "", "vkey of the log")
	seen := flag.String("seen", "", "file of a checkpoint seen before")
	proofs := flag.String("proofs", "", "file of proofs to check")
	flag.Var(&cosigners, "cosigner", "vkey of a witness that must have cosigned")
	flag.Parse()
	size, err := verify(*dir, *log, *seen, *proofs, cosigners)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok", size)
}

func verify(dir, log, seen, proofs string, cosigners []string) (int64, error) {
	tree, err := open(filepath.Join(dir, "checkpoint"), log, cosigners)
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tree, files{dir})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return 0, fmt.Errorf("root: %w", err)
	}
	if root != tree.Hash {
		return 0, errors.New("root: the tiles do not make the signed root")
	}
	if err := entries(dir, tree, reader); err != nil {
		return 0, fmt.Errorf("entries: %w", err)
	}
	if err := own(tree, reader); err != nil {
		return 0, err
	}
	if seen != "" {
		old, err := open(seen, log, nil)
		if err != nil {
			return 0, fmt.Errorf("seen: %w", err)
		}
		if err := continues(old, tree, reader); err != nil {
			return 0, fmt.Errorf("seen: %w", err)
		}
	}
	if proofs != "" {
		if err := given(proofs, tree, reader); err != nil {
			return 0, fmt.Errorf("proofs: %w", err)
		}
	}
	return tree.N, nil
}

// open checks the note and reads origin, size and root.
func open(path, log string, cosigners []string) (tlog.Tree, error) {
	var tree tlog.Tree
	data, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	verifier, err := note.NewVerifier(log)
	if err != nil {
		return tree, err
	}
	known := []note.Verifier{verifier}
	for _, vkey := range cosigners {
		c, err := newCosigner(vkey)
		if err != nil {
			return tree, err
		}
		known = append(known, c)
	}
	n, err := note.Open(data, note.VerifierList(known...))
	if err != nil {
		return tree, err
	}
	if len(n.Sigs) != len(known) {
		return tree, fmt.Errorf("%d of %d known keys signed", len(n.Sigs), len(known))
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, errors.New("malformed body or foreign origin")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// cosigner is a witness's key: Ed25519 over a timestamp and the checkpoint body.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("malformed cosigner vkey")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, errors.New("not a cosignature/v1 vkey")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(sum[:])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, errors.New("cosigner vkey has a wrong id")
	}
	return &cosigner{parts[0], hash, key[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

// entries holds every entry of every bundle against its authenticated leaf hash.
func entries(dir string, tree tlog.Tree, reader tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += width {
		count := min(width, tree.N-first)
		path := "tile/entries/" + grouped(first/width)
		if count < width {
			path += fmt.Sprintf(".p/%d", count)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		var indexes []int64
		for i := range count {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, hash := range hashes {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s ends early", path)
			}
			n := int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:2+n]) != hash {
				return fmt.Errorf("%s: entry %d is not what the tree holds", path, i)
			}
			bundle = bundle[2+n:]
		}
		if len(bundle) != 0 {
			return fmt.Errorf("%s goes on after its last entry", path)
		}
	}
	return nil
}

// own makes and checks proofs with Go's code alone.
func own(tree tlog.Tree, reader tlog.HashReader) error {
	for _, n := range []int64{0, tree.N / 3, tree.N - 1} {
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, hashes[0]); err != nil {
			return fmt.Errorf("inclusion of %d: %w", n, err)
		}
	}
	return nil
}

func continues(old, tree tlog.Tree, reader tlog.HashReader) error {
	if tree.N < old.N {
		return fmt.Errorf("size %d, but %d was seen before", tree.N, old.N)
	}
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

// given checks proofs made elsewhere, and that Go makes the very same:
//
//	inclusion INDEX LEAF HASH...
//	consistency OLD ROOT HASH...
func given(path string, tree tlog.Tree, reader tlog.HashReader) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return err
		}
		var hashes []tlog.Hash
		for _, word := range words[2:] {
			hash, err := tlog.ParseHash(word)
			if err != nil {
				return err
			}
			hashes = append(hashes, hash)
		}
		subject, proof := hashes[0], hashes[1:]
		var made []tlog.Hash
		if words[0] == "inclusion" {
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, subject); err != nil {
				return err
			}
			made, err = tlog.ProveRecord(tree.N, n, reader)
		} else {
			if err := tlog.CheckTree(proof, tree.N, tree.Hash, n, subject); err != nil {
				return err
			}
			made, err = tlog.ProveTree(tree.N, n, reader)
		}
		if err != nil {
			return err
		}
		if fmt.Sprint(made) != fmt.Sprint([]tlog.Hash(proof)) {
			return fmt.Errorf("%s %d: Go makes another proof", words[0], n)
		}
	}
	return lines.Err()
}

// files reads tiles from the folder, whole and of their exact width only.
type files struct{ dir string }

func (f files) Height() int                     { return height }
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := fmt.Sprintf("tile/%d/%s", tile.L, grouped(tile.N))
		if tile.W < width {
			path += fmt.Sprintf(".p/%d", tile.W)
		}
		data, err := os.ReadFile(filepath.Join(f.dir, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func grouped(n int64) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	return text
}
