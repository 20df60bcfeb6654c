"""A Flask app."""

from flask import Flask, Response, jsonify, redirect, request, session

app = Flask(__name__)
app.secret_key = "of the tests"


@app.get("/")
def index():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(visits=session["visits"], name=request.args.get("name", ""))


@app.post("/order/<int:number>")
def order(number):
    file = request.files["paper"]
    return jsonify(number=number, kind=request.form["kind"], name=file.filename, text=file.read().decode())


@app.get("/count")
def count():
    return Response((f"{n}\n" for n in range(3)), mimetype="text/plain")


@app.get("/away")
def away():
    return redirect("/?name=back")


@app.get("/broken")
def broken():
    raise RuntimeError("the shop is broken")
