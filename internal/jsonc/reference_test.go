package jsonc

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const repository = "../.."

// realistic are configurations of the kinds that people write. Mutations of them are compared.
var realistic = []string{
	`{"image": "mcr.example/base:1-${localEnv:V:2}", "remoteUser": "dev"}`,
	"// A comment: {\n{\n\t\"name\": \"x\", /* y */\n" +
		"\t\"build\": {\"dockerfile\": \"Dockerfile\", \"args\": {\"A\": 1.50, \"B\": [true, null]}},\n}\n",
	"\ufeff{\r\n  \"dockerFile\": \"../D\",\r\n  \"context\": \"..\",\r\n" +
		"  \"runArgs\": [\"--cap-add=X\", \"-e\", \"Y=\\\"z\\\"\"],\r\n  // \"a\": 1\r\n}\r\n",
	`{"features": {"ghcr.example/f/go:1": {"version": "lts"}, "./local": {}, "10": 1, "9": "\u00e9\ud83d\ude00"},
		"init": false}`,
	`{"dockerComposeFile": ["a.yml", "b.yml"], "service": "app", "forwardPorts": [3000, -1e3, 0.5],
		"mounts": [{"type": "bind"}]}`,
	"{\n  \"image\": \"a\"\n" +
		"  \"customizations\": {\"vscode\": {\"settings\": {\"editor.tabSize\": 4, \"path\": \"C:\\\\x\\ty\"}}}\n}",
	`{"__proto__": {"__proto__": null}, "containerEnv": {"__proto__": "x", "ä": "日本語😀", "toString": "y"},
		"image": null}`,
}

// fragments are what mutations insert.
var fragments = []string{
	"{", "}", "[", "]", ":", ",", "\"", "\\", "/", "//", "/*", "*/", "*", "\n", "\r", "\r\n", "\t",
	" ", "\x00", "\x1f", "\x7f", "\x0c",
	"-", "+", "0", "01", "-0", "1.", "1.5e", "2E+", "3e-7", "1e21", "1e999", "-1e999", "0x1f",
	"123456789012345678901234567890", ".5",
	"true", "false", "null", "nul", "undefined", "NaN", "'a'", "key", "True", "\"a\"", "\"b\": 1",
	"\"__proto__\": ", "\"__proto__\": null,",
	"\"1\": 2,", "\"4294967295\": 3,", "\"4294967294\": 3,", "\"01\": 4,", "\"\": 5,",
	"\\u", "\\u12", "\\u0000", "\\ud83d", "\\ude00", "\\q", "\\/", "\\\n", "\\é", "\\😀", "\\b\\f\\n\\r\\t\\\"",
	"é", "😀", "\u2028", "\u00a0", "\ufeff", "\ufffd", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98",
	"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80",
}

func mutate(random *rand.Rand, text string) string {
	for range 1 + random.IntN(5) {
		start := random.IntN(len(text) + 1)
		end := min(len(text), start+random.IntN(8))
		fragment := fragments[random.IntN(len(fragments))]
		switch random.IntN(6) {
		case 0: // remove
			text = text[:start] + text[end:]
		case 1: // replace
			text = text[:start] + fragment + text[end:]
		case 2: // repeat
			text = text[:end] + text[start:]
		case 3: // cut off, less often than the others
			if random.IntN(4) == 0 {
				text = text[:start]
			}
		default:
			text = text[:start] + fragment + text[start:]
		}
	}
	return text
}

func soup(random *rand.Rand) string {
	var text strings.Builder
	for range random.IntN(30) {
		text.WriteString(fragments[random.IntN(len(fragments))])
	}
	return text.String()
}

// corpus returns the real configurations beside the repository, where they exist.
func corpus(t *testing.T) []string {
	t.Helper()
	folder := filepath.Join(repository, "../shared/corpus")
	if _, err := os.Stat(folder); err != nil {
		t.Log("the corpus is not beside the repository: ../shared/corpus")
		return nil
	}
	var texts []string
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasSuffix(name, ".json") {
			return err
		}
		text, err := os.ReadFile(name)
		texts = append(texts, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// reference asks jsonc-parser, in one process, for the values of all texts.
func reference(t *testing.T, texts []string) [][3]*string {
	t.Helper()
	raw := make([][]byte, len(texts))
	for i, text := range texts {
		raw[i] = []byte(text)
	}
	questions, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(repository, "hack/jsonc-parser.sh"))
	var stderr bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(questions), &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var answers [][3]*string
	if err := json.Unmarshal(output, &answers); err != nil || len(answers) != len(texts) {
		t.Fatalf("%d answers to %d texts: %v", len(answers), len(texts), err)
	}
	return answers
}

func TestEveryTextHasTheValueThatTheReferenceParserReads(t *testing.T) {
	texts := append([]string{""}, realistic...)
	texts = append(texts, fragments...)
	for _, test := range tolerated {
		texts = append(texts, test.text)
	}
	const mutations, soups = 6000, 4000
	random := rand.New(rand.NewPCG(1, 2))
	bases := append(corpus(t), realistic...)
	texts = append(texts, bases...)
	for i := range mutations {
		texts = append(texts, mutate(random, bases[i%len(bases)]))
	}
	for range soups {
		texts = append(texts, soup(random))
	}
	failures, undefined := 0, 0
	for i, want := range reference(t, texts) {
		value, _, err := Parse([]byte(texts[i]), 1000)
		if err != nil {
			t.Fatalf("%q: %v", texts[i], err)
		}
		if want[0] == nil {
			undefined++
			if value.Kind != Undefined {
				t.Errorf("%q: %s, want no value", texts[i], value.AppendJSON(nil))
				failures++
			}
			continue
		}
		compare := func(what, got string, want *string) {
			if want == nil || got == *want {
				return
			}
			t.Errorf("%q: %s\n got %s\nwant %s", texts[i], what, got, *want)
			failures++
		}
		compare("JSON", string(value.AppendJSON(nil)), want[0])
		compare("JSON with numbers as text", string(numbersAsText(value).AppendJSON(nil)), want[1])
		if !hasObject(value) {
			compare("text", value.String(), want[2])
		}
		if failures > 10 {
			t.Fatal("too many failures")
		}
	}
	if undefined == 0 || undefined > len(texts)/2 {
		t.Errorf("%d of %d texts have no value: the texts are no good test", undefined, len(texts))
	}
}

func numbersAsText(value Value) *Value {
	if value.Kind == Number {
		value = Value{Kind: String, text: "number " + value.String()}
	}
	elements, members := value.Elements, value.Members
	value.Elements, value.Members = nil, nil
	for _, element := range elements {
		value.Elements = append(value.Elements, *numbersAsText(element))
	}
	for _, member := range members {
		value.Members = append(value.Members, Member{name: member.name, Value: *numbersAsText(member.Value)})
	}
	return &value
}

func hasObject(value Value) bool {
	if value.Kind == Object {
		return true
	}
	for _, element := range value.Elements {
		if hasObject(element) {
			return true
		}
	}
	return false
}
