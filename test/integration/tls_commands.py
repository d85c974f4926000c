#!/usr/bin/env python3
"""`drover tls`: the certificates that it makes, as openssl sees them."""
import os, re, shutil, stat, subprocess, tempfile

from cases import at_end, check, run, same
from lab import DROVER


def folder():
    path = tempfile.mkdtemp(prefix="tls-")
    at_end.append(lambda failed: shutil.rmtree(path))
    return path


def call(where, *words, code=0):
    done = subprocess.run(words, cwd=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    text = done.stdout.decode()
    same(done.returncode, code, " ".join(words) + ": " + text)
    return text


def tls(where, *words, code=0):
    return call(where, DROVER, "tls", *words, code=code)


def text_of(where, name):
    return call(where, "openssl", "x509", "-in", name, "-noout", "-text")


def usage_of(text, what):
    return re.search(r"X509v3 %s:.*\n\s*(.*)" % what, text).group(1)


def cluster(*words):
    where = folder()
    tls(where, "ca", "create", *words)
    return where


def openssl_accepts_what_is_made_for_its_purpose_only():
    where = cluster()
    for role in ("server", "client", "cli"):
        tls(where, "cert", "create", "-" + role)
        name = "global-%s-nomad.pem" % role
        for purpose in ("sslserver", "sslclient"):
            good = role != "cli" or purpose == "sslclient"
            call(where, "openssl", "verify", "-x509_strict", "-CAfile", "nomad-agent-ca.pem", "-purpose", purpose, name, code=0 if good else 2)
        for host in ("%s.global.nomad" % role, "localhost"):
            call(where, "openssl", "verify", "-CAfile", "nomad-agent-ca.pem", "-verify_hostname", host, name)
        call(where, "openssl", "verify", "-CAfile", "nomad-agent-ca.pem", "-verify_hostname", "server.other.nomad", name, code=2)
        text = text_of(where, name)
        check("CN = %s.global.nomad" % role in text and "prime256v1" in text and "CA:FALSE" in text, text)
        same(usage_of(text, "Key Usage"), "Digital Signature, Key Encipherment")
        same("IP Address:127.0.0.1" in text, role != "cli", text)
        key = call(where, "openssl", "pkey", "-in", name.replace(".pem", "-key.pem"), "-pubout")
        same(call(where, "openssl", "x509", "-in", name, "-noout", "-pubkey"), key)
    other = cluster()
    call(other, "openssl", "verify", "-CAfile", "nomad-agent-ca.pem", os.path.join(where, "global-server-nomad.pem"), code=2)


def an_authority_signs_and_nothing_else():
    where = cluster("-days", "10", "-common-name", "Ours", "-country", "DE", "-organization", "We")
    text = text_of(where, "nomad-agent-ca.pem")
    check("CN = Ours" in text and "C = DE" in text and "O = We" in text and "CA:TRUE" in text, text)
    same(usage_of(text, "Key Usage"), "Digital Signature, Certificate Sign, CRL Sign")
    call(where, "openssl", "x509", "-in", "nomad-agent-ca.pem", "-checkend", str(10 * 86400 - 600))
    call(where, "openssl", "x509", "-in", "nomad-agent-ca.pem", "-checkend", str(10 * 86400 + 600), code=1)


def names_regions_and_domains_are_what_was_asked_for():
    where = cluster("-domain", "example.org")
    tls(where, "cert", "create", "-server", "-domain=example.org", "-region=eu", "-days=3", "-additional-dnsname=a.example.org",
        "-additional-dnsname=*.b.org", "-additional-ipaddress=10.0.0.1", "-additional-ipaddress=fd00::1")
    text = text_of(where, "eu-server-example.org.pem")
    same(usage_of(text, "Subject Alternative Name"), "DNS:server.eu.example.org, DNS:localhost, DNS:a.example.org, DNS:*.b.org, "
         "IP Address:127.0.0.1, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1")
    call(where, "openssl", "x509", "-in", "eu-server-example.org.pem", "-checkend", str(3 * 86400 + 600), code=1)
    call(where, "openssl", "verify", "-CAfile", "example.org-agent-ca.pem", "eu-server-example.org.pem")
    told = tls(where, "cert", "info", "eu-server-example.org.pem")
    for line in (r"Serial Number +\d+", "Issuer CN +Nomad Agent CA", "Common Name +server.eu.example.org", r"Expiry Date +20\d\d-\d\d-\d\d .* UTC",
                 r"DNS Names +\[server.eu.example.org localhost a.example.org \*.b.org\]", r"IP Addresses +\[127.0.0.1 10.0.0.1 fd00::1\]"):
        check(re.search("(?m)^%s$" % line, told), line, told)
    check("Nomad Agent CA" in tls(where, "ca", "info", "example.org-agent-ca.pem"))
    check("not the certificate of an authority" in tls(where, "ca", "info", "eu-server-example.org.pem", code=1))


def keys_are_their_owners_and_files_that_exist_stay():
    mask = os.umask(0)
    try:
        where = cluster()
        tls(where, "cert", "create", "-client")
    finally:
        os.umask(mask)
    files = {n: open(os.path.join(where, n)).read() for n in os.listdir(where)}
    same(sorted(files), ["global-client-nomad-key.pem", "global-client-nomad.pem", "nomad-agent-ca-key.pem", "nomad-agent-ca.pem"])
    for name in files:
        same(stat.S_IMODE(os.stat(os.path.join(where, name)).st_mode), 0o600 if "key" in name else 0o644, name)
    for words in (("ca", "create"), ("cert", "create", "-client")):
        check("exists already" in tls(where, *words, code=1))
        os.unlink(os.path.join(where, "nomad-agent-ca.pem" if words[0] == "ca" else "global-client-nomad.pem"))
        check("key.pem exists already" in tls(where, *words, code=1))
        if words[0] == "ca":
            open(os.path.join(where, "nomad-agent-ca.pem"), "w").write(files["nomad-agent-ca.pem"])
    for name in set(files) - {"global-client-nomad.pem"}:
        same(open(os.path.join(where, name)).read(), files[name], name)


def an_authority_can_be_limited_to_its_domains():
    where = cluster("-name-constraint", "-domain", "in.org", "-additional-domain", "also.org")
    check("Permitted" in text_of(where, "in.org-agent-ca.pem"))
    tls(where, "cert", "create", "-server", "-domain", "in.org", "-additional-dnsname", "x.also.org")
    told = tls(where, "cert", "create", "-client", "-domain", "in.org", "-additional-dnsname", "x.out.org", code=1)
    check("permitted subtree violation" in told, told)
    check(not os.path.exists(os.path.join(where, "global-client-in.org.pem")))


def misuse_is_told():
    where = cluster()
    tls(where, "cert", "create", "-cli")
    for words, why in (
            (("cert", "create"), "one of -server, -client and -cli"),
            (("cert", "create", "-server", "-client"), "one of -server, -client and -cli"),
            (("cert", "create", "-server", "-days", "0"), "-days"),
            (("cert", "create", "-server", "-region", "../x"), "-region"),
            (("cert", "create", "-server", "-domain", "a/b"), "-domain"),
            (("cert", "create", "-server", "-additional-dnsname", "a,IP:1.2.3.4"), "not a DNS name"),
            (("cert", "create", "-server", "-additional-ipaddress", "1.2.3"), "not an IP address"),
            (("cert", "create", "-server", "-ca", "nothing.pem"), "nothing.pem: No such file"),
            (("cert", "create", "-server", "-key", "global-cli-nomad-key.pem"), "is not the key of that certificate"),
            (("cert", "create", "-server", "-ca", "global-cli-nomad.pem"), "not the certificate of an authority"),
            (("cert", "info", "global-cli-nomad-key.pem"), "global-cli-nomad-key.pem: no start line"),
            (("ca", "create", "-domain", "x.org", "-additional-domain", "y.org"), "-name-constraint")):
        told = tls(where, *words, code=1)
        check(why in told, words, told)
    same(sorted(n for n in os.listdir(where) if "server" in n or "x.org" in n), [])


run(openssl_accepts_what_is_made_for_its_purpose_only, an_authority_signs_and_nothing_else, names_regions_and_domains_are_what_was_asked_for,
    keys_are_their_owners_and_files_that_exist_stay, an_authority_can_be_limited_to_its_domains, misuse_is_told)
