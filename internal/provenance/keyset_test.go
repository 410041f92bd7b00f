package provenance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

func TestKeysAreReadAndWritten(t *testing.T) {
	key := newKey(t)
	content, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivateKey(content)
	if err != nil || again.Key().ID != key.Key().ID {
		t.Errorf("private key: %v", err)
	}
	public, err := ParseKey([]byte(key.Key().PEM()))
	if err != nil || public.ID != key.Key().ID || len(public.ID) != 64 {
		t.Errorf("public key: %v", err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(&wide.PublicKey); err == nil {
		t.Error("a key on another curve is accepted")
	}
	der, err := x509.MarshalPKCS8PrivateKey(wide)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"a public key": key.Key().PEM(), "nothing": "", "no PEM": "secret-text",
		"another curve": string(pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der})),
		"a broken key":  string(pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: []byte("secret-text")})),
	} {
		if _, err := ParsePrivateKey([]byte(content)); err == nil || strings.Contains(err.Error(), "secret-text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRotatedSetVerifiesWithItsEarlierKeys(t *testing.T) {
	entries, err := NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	first, err := ParseKeySet(entries)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if entries, err = Rotate(entries); err != nil {
			t.Fatal(err)
		}
	}
	set, err := ParseKeySet(entries)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, key := range set.Keys() {
		ids = append(ids, key.ID)
	}
	if len(ids) != 3 || ids[0] != set.Signer.Key().ID || ids[0] == first.Signer.Key().ID {
		t.Errorf("keys %v", ids)
	}
	if _, kept := entries[first.Signer.Key().ShortID()+VerifySuffix]; !kept {
		t.Errorf("the first key is not among %d entries", len(entries))
	}
	for len(entries) < MaxKeys {
		entries[fmt.Sprint(len(entries), VerifySuffix)] = []byte(newKey(t).Key().PEM())
	}
	if _, err := Rotate(entries); err == nil {
		t.Error("a full set is rotated")
	}
}

func TestBrokenSetIsRefused(t *testing.T) {
	entries, err := NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string][]byte){
		"a broken private key": func(e map[string][]byte) { e[SigningEntry] = []byte("x") },
		"a broken public key":  func(e map[string][]byte) { e["old.pub"] = []byte("x") },
		"an unknown entry":     func(e map[string][]byte) { e["notes"] = []byte("x") },
		"too many": func(e map[string][]byte) {
			for n := range MaxKeys {
				e[fmt.Sprint(n, VerifySuffix)] = []byte(newKey(t).Key().PEM())
			}
		},
	} {
		changed := map[string][]byte{SigningEntry: entries[SigningEntry]}
		change(changed)
		if set, err := ParseKeySet(changed); err == nil {
			t.Errorf("%s: %d keys", name, len(set.Keys()))
		}
	}
}
