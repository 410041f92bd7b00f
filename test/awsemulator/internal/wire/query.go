package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// DecodeQuery reads a Query request's form: Tags.member.1.Key=… becomes {"Tags":[{"Key":…}]}. All leaves are strings, so numbers
// and booleans of the input struct need the json option "string". An empty value counts as absent: that is how SDKs write empty lists.
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func DecodeQuery(form url.Values, into any) error {
	root := map[string]any{}
	for key, values := range form {
		if key == "Action" || key == "Version" || len(values) == 0 || values[0] == "" {
			continue
		}
		if err := put(root, strings.Split(key, "."), values[0]); err != nil {
			return apierror.New("MalformedInput", "%s: %v", key, err)
		}
	}
	body, err := json.Marshal(lists(root))
	if err != nil {
		return apierror.New("MalformedInput", "%v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return decodeError(err)
	}
	return nil
}

const maxDepth = 12

func put(node map[string]any, path []string, value string) error {
	if len(path) > maxDepth {
		return fmt.Errorf("nested too deep")
	}
	for _, step := range path[:len(path)-1] {
		next, ok := node[step].(map[string]any)
		if !ok {
			if node[step] != nil {
				return fmt.Errorf("both a value and a structure")
			}
			next = map[string]any{}
			node[step] = next
		}
		node = next
	}
	last := path[len(path)-1]
	if _, ok := node[last].(map[string]any); ok {
		return fmt.Errorf("both a value and a structure")
	}
	node[last] = value
	return nil
}

// lists turns {"member": {"1": a, "2": b}} into [a, b].
func lists(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if members, ok := m["member"].(map[string]any); ok && len(m) == 1 {
		type item struct {
			n int
			v any
		}
		var items []item
		for k, x := range members {
			n, err := strconv.Atoi(k)
			if err != nil {
				return m
			}
			items = append(items, item{n, lists(x)})
		}
		sort.Slice(items, func(i, j int) bool { return items[i].n < items[j].n })
		out := make([]any, len(items))
		for i := range items {
			out[i] = items[i].v
		}
		return out
	}
	out := map[string]any{}
	for k, x := range m {
		out[k] = lists(x)
	}
	return out
}

// WriteXML answers a Query request.
func WriteXML(w http.ResponseWriter, requestID, namespace, operation string, out any) error {
	var b bytes.Buffer
	enc := xml.NewEncoder(&b)
	start := xml.StartElement{Name: xml.Name{Local: operation + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}}
	err := enc.EncodeToken(start)
	if err == nil {
		err = enc.EncodeElement(out, xml.StartElement{Name: xml.Name{Local: operation + "Result"}})
	}
	if err == nil {
		err = enc.EncodeElement(struct {
			RequestID string `xml:"RequestId"`
		}{requestID}, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if err == nil {
		err = enc.EncodeToken(start.End())
	}
	if err == nil {
		err = enc.Flush()
	}
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", requestID)
	_, _ = w.Write(b.Bytes())
	return nil
}

// WriteXMLError answers a Query request with an error.
func WriteXMLError(w http.ResponseWriter, requestID, namespace string, e *apierror.Error) {
	code, status := e.ForQuery()
	side := "Sender"
	if status >= http.StatusInternalServerError {
		side = "Receiver"
	}
	type inner struct {
		Type    string
		Code    string
		Message string
	}
	body, _ := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr"`
		Error     inner
		RequestID string `xml:"RequestId"`
	}{Namespace: namespace, Error: inner{side, code, e.Message}, RequestID: requestID})
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
