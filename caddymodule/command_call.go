package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// adminFlags say which running gateway a command asks.
func adminFlags(cmd *cobra.Command) {
	cmd.Flags().String("address", "", "Admin endpoint of the running gateway (default localhost:2019)")
	configFlags(cmd, "Configuration file to take the admin endpoint from")
}

func jsonFlag(cmd *cobra.Command) { cmd.Flags().Bool("json", false, "Print JSON") }

// maxAnswer bounds an answer of the admin API: ten thousand devices fit.
const maxAnswer = 64 << 20

// callAdmin asks the running gateway. in, if not nil, is sent as JSON; token, if not
// empty, authorises what loosens. The answer's body is returned.
func callAdmin(cmd *cobra.Command, method, uri string, in any, token string) ([]byte, error) {
	var config []byte
	file := flagValue(cmd, "config")
	if file != "" && flagValue(cmd, "address") == "" {
		var err error
		config, err = readConfig(file, flagValue(cmd, "adapter"), cmd.ErrOrStderr())
		if err != nil {
			return nil, err
		}
	}
	address, err := caddycmd.DetermineAdminAPIAddress(flagValue(cmd, "address"), config, file, flagValue(cmd, "adapter"))
	if err != nil {
		return nil, err
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, "/compliance/"+uri, header, body)
	if err != nil {
		return nil, callError(err, address)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return raw, nil
}

// callError says what to do about a call that failed.
func callError(err error, address string) error {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "connection refused") {
		return fmt.Errorf("no gateway answers at %s: is it running? Name its admin endpoint with --address, or its configuration with --config", address)
	}
	// Caddy's helper puts the status and the JSON body into the error text.
	_, rest, ok := strings.Cut(err.Error(), "caddy responded with error: ")
	if !ok {
		return err
	}
	status, body, _ := strings.Cut(rest, ": ")
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &answer) == nil && answer.Error != "" {
		return errors.New(answer.Error)
	}
	if strings.HasPrefix(status, "HTTP 404") {
		return fmt.Errorf("the process at %s has no compliance module", address)
	}
	return fmt.Errorf("the gateway answered %s: %s", status, strings.TrimSpace(body))
}

// askAdmin calls the gateway and prints its answer: as it is with --json, else by show.
func askAdmin[T any](cmd *cobra.Command, method, uri string, in any, token string, show func(io.Writer, *T)) error {
	raw, err := callAdmin(cmd, method, uri, in, token)
	if err != nil {
		return err
	}
	if f := cmd.Flags().Lookup("json"); f != nil && f.Value.String() == "true" {
		_, err := cmd.OutOrStdout().Write(raw)
		return err
	}
	var answer T
	err = json.Unmarshal(raw, &answer)
	if err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	show(cmd.OutOrStdout(), &answer)
	return nil
}

// askOperator is askAdmin for a call that loosens; it needs operatorFlags.
func askOperator[T any](cmd *cobra.Command, uri, id string, show func(io.Writer, *T)) error {
	token, err := operatorToken(cmd)
	if err != nil {
		return err
	}
	in := OperatorRequest{ID: id, Owner: flagValue(cmd, "owner")}
	return askAdmin(cmd, http.MethodPost, uri, in, token, show)
}

// columns prints aligned rows; the first is the heading.
func columns(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = policy.Visible(cell)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = t.Flush() // standard output: nobody to tell
}

// operatorToken reads the token from a file, never from the command line, where
// every process could see it.
func operatorToken(cmd *cobra.Command) (string, error) {
	path := flagValue(cmd, "operator-token-file")
	if path == "" {
		return "", errors.New("this loosens: name the file with the operator token, --operator-token-file FILE")
	}
	raw, err := readBounded(path, 64<<10)
	if err != nil {
		return "", fmt.Errorf("operator token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", errors.New("operator token: the file must hold the token and nothing else")
	}
	return token, nil
}

func operatorFlags(cmd *cobra.Command) {
	cmd.Flags().String("operator-token-file", "", "File with the operator token; - reads standard input")
	cmd.Flags().String("owner", os.Getenv("USER"), "Who asks, for the log")
}
