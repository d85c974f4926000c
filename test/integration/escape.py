#!/usr/bin/env python3
"""Nothing that a job brings or makes leads out of its directory: hostile archives, links, paths. One cluster for all cases."""
import http.server, io, pwd, tarfile, zipfile

from lifecycle import *

SECRET = "this-is-none-of-its-business"


def place():
    """A directory beside the node's that no task may reach, with one file."""
    path = os.path.join(lab().dir, "outside")
    if not os.path.isdir(path):
        os.mkdir(path)
        open(path + "/secret", "w").write(SECRET)
    return path


def untouched():
    same(os.listdir(place()), ["secret"])
    same(open(place() + "/secret").read(), SECRET)


# ---- archives

def entry(name, kind=tarfile.REGTYPE, link="", data=b""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o755
    return info, io.BytesIO(data)


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        for info, data in entries:
            t.addfile(info, data)
    return out.getvalue()


def zip_of(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name in names:
            z.writestr(name, "gotcha")
    return out.getvalue()


def zip_with_link(target):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        z.writestr(info, target)
        z.writestr("link/gotcha", "gotcha")
    return out.getvalue()


def hostile():
    up, out = "../" * 12 + place()[1:], place()
    device = entry("device", tarfile.CHRTYPE)
    device[0].devmajor, device[0].devminor = 1, 5
    return {
        "dots.tar.gz": tar_of(entry(up + "/gotcha", data=b"x")),
        "absolute.tar.gz": tar_of(entry(out + "/gotcha", data=b"x")),
        "link.tar.gz": tar_of(entry("link", tarfile.SYMTYPE, out), entry("link/gotcha", data=b"x")),
        "link-up.tar.gz": tar_of(entry("a/link", tarfile.SYMTYPE, "../" + up), entry("a/link/gotcha", data=b"x")),
        "link-chain.tar.gz": tar_of(entry("a", tarfile.SYMTYPE, "."), entry("a/b", tarfile.SYMTYPE, up), entry("b/gotcha", data=b"x")),
        "link-over.tar.gz": tar_of(entry("f", tarfile.SYMTYPE, out + "/secret"), entry("f", data=b"gotcha")),
        "hard.tar.gz": tar_of(entry("f", tarfile.LNKTYPE, out + "/secret"), entry("f", data=b"gotcha")),
        "hard-up.tar.gz": tar_of(entry("f", tarfile.LNKTYPE, up + "/secret"), entry("f", data=b"gotcha")),
        "device.tar.gz": tar_of(device),
        "fifo.tar.gz": tar_of(entry("fifo", tarfile.FIFOTYPE)),
        "dots.zip": zip_of(up + "/gotcha"),
        "absolute.zip": zip_of(out + "/gotcha"),
        "link.zip": zip_with_link(out),
    }


class Files:
    """An HTTP server with these files, by their names."""

    def __init__(self, files):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = files.get(self.path.split("?")[0].lstrip("/"))
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        at_end.append(lambda failed: self.server.shutdown())

    def url(self, name):
        return "http://127.0.0.1:%d/%s" % (self.server.server_address[1], name)


def finished(alloc_id):
    return until(30, lambda: "an end: %s" % (describe(alloc_id),), lambda: alloc(alloc_id)["ClientStatus"] in ("complete", "failed"))


def fetching(url, dest="local", user="", **more):
    return begin([task("/bin/true", (), User=user, Artifacts=[dict({"GetterSource": url, "RelativeDest": dest}, **more)])])[0]


def special_files(alloc_id):
    """Devices, pipes, and links that lead out, of the task's."""
    root = "%s/data/alloc/%s/t/local" % (lab().clients[0].dir, alloc_id)
    return [p for folder, dirs, files in os.walk(root) for p in (os.path.join(folder, n) for n in dirs + files)
            if not (os.path.isfile(p) or os.path.isdir(p)) or not os.path.realpath(p).startswith(os.path.realpath(root))]


def no_archive_leads_out():
    files = hostile()
    web = Files(files)
    ids = {name: fetching(web.url(name)) for name in files}
    for name, a in ids.items():
        finished(a)
        untouched()
        same(special_files(a), [], name)
        if alloc(a)["ClientStatus"] == "failed":
            check("Failed Artifact Download" in types(a), name, describe(a))
    return "refused: " + ", ".join(n for n, a in ids.items() if alloc(a)["ClientStatus"] == "failed")


def no_destination_of_an_artifact_leads_out():
    web = Files({"f": b"gotcha"})
    for dest in ("../" * 12 + place()[1:], place(), "local/../../" + "../" * 12 + place()[1:]):
        a = fetching(web.url("f"), dest) if accepted(Artifacts=[{"GetterSource": "http://127.0.0.1:1/f", "RelativeDest": dest}]) else None
        if a:
            finished(a)
        untouched()


def accepted(**more):
    return server().put("/v1/validate/job", {"Job": job(tasks=[task("/bin/true", (), **more)])}).json.get("Error", "") in ("", None)


def linking(where, then, **more):
    """Two tasks: the first lays links into the directory of the second, which they then use."""
    first = named("first", "ln -s %s $NOMAD_ALLOC_DIR/../t/local/link; ln -s %s/secret $NOMAD_ALLOC_DIR/../t/local/file" % (where, where),
                  Lifecycle=hook("prestart"))
    return begin([first, dict(shell(then), **more)])[0]


def no_link_of_a_task_leads_what_is_fetched_or_rendered_out():
    web = Files({"f": b"gotcha", "a.tar.gz": tar_of(entry("gotcha", data=b"x"))})
    for more in ({"Templates": [{"EmbeddedTmpl": "gotcha", "DestPath": "local/link/gotcha"}]},
                 {"Templates": [{"EmbeddedTmpl": "gotcha", "DestPath": "local/file"}]},
                 {"Artifacts": [{"GetterSource": web.url("f"), "RelativeDest": "local/link"}]},
                 {"Artifacts": [{"GetterSource": web.url("f"), "RelativeDest": "local/file", "GetterMode": "file"}]},
                 {"Artifacts": [{"GetterSource": web.url("a.tar.gz"), "RelativeDest": "local/link"}]}):
        a = linking(place(), "true", **more)
        finished(a)
        untouched()


def no_template_reads_what_is_outside():
    for source in (place() + "/secret", "../" * 12 + place()[1:] + "/secret", "local/file", "local/link/secret"):
        a = linking(place(), "cat local/out", Templates=[{"SourcePath": source, "DestPath": "local/out"}])
        finished(a)
        check(SECRET not in logs(a), source, "was read:", describe(a))


def a_payload_stays_in_its_directory():
    for name in ("../" * 12 + place()[1:] + "/gotcha", place() + "/gotcha", "link/gotcha", "file"):
        j = job(kind="batch", tasks=[named("first", "ln -s %s $NOMAD_ALLOC_DIR/../t/local/link; ln -s %s/secret $NOMAD_ALLOC_DIR/../t/local/file"
                                           % (place(), place()), Lifecycle=hook("prestart")),
                                     task("/bin/true", (), DispatchPayload={"File": name})],
                group=NO_RESTARTS, ParameterizedJob={"Payload": "required"})
        if server().put("/v1/jobs", {"Job": j}).status != 200:
            continue
        child = server().put("/v1/job/%s/dispatch" % j["ID"], {"Payload": "Z290Y2hh"}).want(200).json["DispatchedJobID"]
        a = until(10, "an allocation", lambda: lab().allocs(child))[0]["ID"]
        finished(a)
        untouched()


def logs_replaced_by_links_show_nothing_else():
    a, j = begin([shell("cd $NOMAD_ALLOC_DIR/logs; rm t.stdout.0; ln -s %s/secret t.stdout.0; ln -s %s/secret t.stdout.1; ln -s %s dir; "
                        "ln %s/secret hard 2>/dev/null; echo written; exec sleep 1000" % ((place(),) * 4))], kind="service")
    runs(a)
    time.sleep(0.3)
    for path in ("logs/%s?task=t&type=stdout&plain=true" % a, "cat/%s?path=alloc/logs/t.stdout.0" % a, "cat/%s?path=alloc/logs/dir/secret" % a,
                 "readat/%s?path=alloc/logs/t.stdout.1&offset=0&limit=100" % a, "stream/%s?path=alloc/logs/t.stdout.0&plain=true" % a,
                 "cat/%s?path=alloc/logs/../../../../../outside/secret" % a, "cat/%s?path=%s/secret" % (a, place())):
        r = server().get("/v1/client/fs/" + path)
        check(SECRET not in r.text, path, "shows", r.text)
    listed = server().get("/v1/client/fs/ls/%s?path=alloc/logs/dir" % a)
    check("secret" not in listed.text, listed.text)
    stop(j)
    finished(a)
    untouched()


def what_is_fetched_can_be_the_tasks_own():
    web = Files({"a.tar.gz": tar_of(entry("dir/f", data=b"x"))})
    for chown in (True, False):
        a = fetching(web.url("a.tar.gz"), "local/pkg", Chown=chown, user="daemon")
        finished(a)
        root = "%s/data/alloc/%s/t/local/pkg" % (lab().clients[0].dir, a)
        same({pwd.getpwuid(os.lstat(root + p).st_uid).pw_name for p in ("", "/dir", "/dir/f")}, {"daemon" if chown else "root"}, describe(a))


def directories_of_archives_and_repositories_are_fetched():
    if subprocess.run(["git", "--version"], stdout=subprocess.DEVNULL).returncode != 0:
        raise Skip("git is not installed")
    folder = os.path.join(lab().dir, "repo")
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", **{"GIT_%s_%s" % (who, what): "a@b" for who in ("AUTHOR", "COMMITTER")
                                                             for what in ("NAME", "EMAIL")})
    for words in (["init", "-q", "-b", "main", folder], ["-C", folder, "commit", "-q", "--allow-empty", "-m", "0"]):
        subprocess.run(["git", *words], check=True, env=env)
    os.mkdir(folder + "/conf")
    open(folder + "/conf/x", "w").write("from git")
    for words in (["add", "."], ["commit", "-qm", "1"], ["tag", "v1"]):
        subprocess.run(["git", "-C", folder, *words], check=True, env=env)
    web = Files({"a.tar.gz": tar_of(entry("pkg-1/bin/y", data=b"from tar"))})
    a = begin([task("/bin/cat", ("local/c/x", "local/y"), Artifacts=[
        {"GetterSource": "git::file://%s//conf" % folder, "RelativeDest": "local/c", "GetterOptions": {"ref": "v1", "depth": "1"}},
        {"GetterSource": web.url("a.tar.gz//pkg-1/bin")}])])[0]
    finished(a)
    same(logs(a), "from gitfrom tar", describe(a))
    a = fetching("git::file://%s/none" % folder)
    finished(a)
    check("git:" in event(a, "Failed Artifact Download")["DisplayMessage"], describe(a))


run(what_is_fetched_can_be_the_tasks_own, directories_of_archives_and_repositories_are_fetched, no_archive_leads_out, no_destination_of_an_artifact_leads_out, no_link_of_a_task_leads_what_is_fetched_or_rendered_out,
    no_template_reads_what_is_outside, a_payload_stays_in_its_directory, logs_replaced_by_links_show_nothing_else)
